"""How often something happens: in epochs, steps or minutes."""

from __future__ import annotations

from dataclasses import dataclass

from ftune.config.decimals import nearest_step
from ftune.config.fields import setting


@dataclass(frozen=True)
class Every:
    """An interval: in epochs, steps or minutes, whichever comes first."""

    epochs: float | None = setting(None, above=0)
    """Epochs between two; a bare number means this."""

    steps: int | None = setting(None, at_least=1)
    """Optimizer steps between two."""

    minutes: float | None = setting(None, above=0)
    """Minutes between two."""

    def in_steps(self, steps_per_epoch: int) -> int | None:
        """The interval in optimizer steps, or None where it is given in minutes only."""
        return _in_steps(self.epochs, self.steps, steps_per_epoch)


@dataclass(frozen=True)
class EvalInterval:
    """How often the model is evaluated."""

    epochs: float | None = setting(None, above=0)
    """Epochs between two evaluations; a bare number means this."""

    steps: int | None = setting(None, at_least=1)
    """Optimizer steps between two evaluations."""

    def in_steps(self, steps_per_epoch: int) -> int | None:
        """The interval in optimizer steps; never by the clock, which would make runs differ."""
        return _in_steps(self.epochs, self.steps, steps_per_epoch)


def _in_steps(epochs: float | None, steps: int | None, steps_per_epoch: int) -> int | None:
    lengths = [steps] if steps else []
    if epochs:
        lengths.append(max(1, nearest_step(epochs, steps_per_epoch)))
    return min(lengths) if lengths else None
