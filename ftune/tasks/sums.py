"""What a metric has seen, as sums: over batches and over processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class Sums:
    """Metrics whose state adds up; `summed` names the attributes that do."""

    summed: ClassVar[tuple[str, ...]]

    def state(self) -> dict[str, Any]:
        """Return what was seen so far, as values that can be sent to another process."""
        return {name: getattr(self, name) for name in self.summed}

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add what other metrics of the same task saw of other rows."""
        for name in self.summed:
            setattr(self, name, getattr(self, name) + state[name])
