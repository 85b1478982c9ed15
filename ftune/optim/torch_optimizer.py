"""Optimizers of torch whose settings have torch's own names."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ftune.config.fields import setting
from ftune.optim.groups import Group, construct, fastest

if TYPE_CHECKING:
    from torch.optim import Optimizer


@dataclass(frozen=True)
class TorchOptimizer:
    """kind: torch's class, where it is not called as the schema is."""

    kind: ClassVar[str] = ""

    lr: float | Literal["auto"] = setting(1e-3, above=0, words=("auto",))
    """Peak learning rate; `auto` runs lr-find first."""

    def build(self, groups: list[Group], lr: float) -> list[Optimizer]:
        """The optimizer over `groups` at base rate `lr`."""
        from torch import optim

        kind = getattr(optim, self.kind or type(self).__name__)
        return construct(kind, groups, lr, **self.arguments(), **fastest(kind, groups))

    def arguments(self) -> dict[str, Any]:
        """What torch's class takes, but for the rate."""
        names = [field.name for field in fields(self) if field.name != "lr"]
        return {name: getattr(self, name) for name in names}
