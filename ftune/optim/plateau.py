"""A schedule that listens to the validation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from ftune.config.fields import setting
from ftune.optim.schedule import Schedule, Warming
from ftune.record import Record


@dataclass(frozen=True)
class Plateau(Warming):
    """Drops when the selection metric has stopped to improve, as torch's ReduceLROnPlateau."""

    factor: float = setting(0.1, above=0, below=1)
    """What each drop multiplies the rate by."""

    patience: int = setting(10, at_least=0)
    """Evaluations without improvement that are waited for."""

    threshold: float = setting(1e-4, at_least=0)
    """Least improvement that counts, as a share of the best value."""

    minimum: float = setting(0.0, at_least=0, below=1)
    """Least rate, as a share of the peak."""

    def build(self, total: int, steps_per_epoch: int) -> Schedule:  # noqa: ARG002
        return PlateauState(self, self.warmup.length(total))


@dataclass(frozen=True)
class _Heard:
    """The best value so far, how many evaluations ago it was, and the scale they led to."""

    best: float | None = None
    waited: int = 0
    scale: float = 1.0


class PlateauState:
    """The schedule that `Plateau` declares."""

    def __init__(self, rule: Plateau, warmup: int) -> None:
        self._rule = rule
        self._warmup = warmup
        self._heard = _Heard()

    def factor(self, step: int) -> float:
        scale = self._heard.scale
        return scale * (step + 1) / (self._warmup + 1) if step < self._warmup else scale

    def observe(self, value: float) -> None:
        heard, rule = self._heard, self._rule
        if self._improves(value):
            self._heard = replace(heard, best=value, waited=0)
        elif heard.waited < rule.patience:
            self._heard = replace(heard, waited=heard.waited + 1)
        else:
            scale = max(rule.minimum, heard.scale * rule.factor)
            self._heard = replace(heard, waited=0, scale=scale)

    def _improves(self, value: float) -> bool:
        """Whether `value` is lower by the threshold; a metric turned round is negative."""
        best = self._heard.best
        if best is None:
            return isfinite(value)  # from infinity on, no share of the best value could be taken
        return value < best - self._rule.threshold * abs(best)

    def state(self) -> dict[str, Any]:
        """The best value, the patience used up and the scale reached."""
        return {"best": self._heard.best, "waited": self._heard.waited, "scale": self._heard.scale}

    def load(self, state: dict[str, Any]) -> None:
        """Takes back what `state` gave."""
        heard = Record.parse(state, "the checkpoint", "schedule")
        self._heard = _Heard(
            heard.number("best", None), heard.count("waited", 0), heard.number("scale", 1.0)
        )
