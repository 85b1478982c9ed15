"""How often something happens: in epochs, steps or minutes."""

from __future__ import annotations

from dataclasses import dataclass

from ftune.config.decimals import nearest_step
from ftune.config.fields import setting


@dataclass(frozen=True)
class EvalInterval:
    """How often the model is evaluated; never by the clock, which would make runs differ."""

    epochs: float | None = setting(None, above=0)
    """Epochs between two; a bare number means this."""

    steps: int | None = setting(None, at_least=1)
    """Optimizer steps between two."""

    def in_steps(self, steps_per_epoch: int) -> int | None:
        """The interval in optimizer steps, or None where neither is given."""
        lengths = [self.steps] if self.steps else []
        if self.epochs:
            lengths.append(max(1, nearest_step(self.epochs, steps_per_epoch)))
        return min(lengths) if lengths else None


@dataclass(frozen=True)
class Every(EvalInterval):
    """An interval: in epochs, steps or minutes, whichever comes first."""

    minutes: float | None = setting(None, above=0)
    """Minutes between two."""
