"""How the learning rate changes over a training.

A schedule gives a multiplier of the peak rate for each optimizer step, counted from 0. Step
`t` of `total` is computed from `t` alone, so a resumed run needs no replay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ftune.config.decimals import nearest_step
from ftune.config.fields import group, setting


class Schedule(Protocol):
    """What the engine asks of a schedule."""

    def factor(self, step: int) -> float:
        """The multiplier of the base rate for optimizer step `step`, from 0."""

    def observe(self, value: float) -> None:
        """Takes the selection metric of an evaluation, turned so that lower is better."""

    def state(self) -> dict[str, Any]:
        """What `factor` depends on beside the step, as JSON."""

    def load(self, state: dict[str, Any]) -> None:
        """Takes back what `state` gave."""


@dataclass(frozen=True)
class Warmup:
    """The steps over which the rate rises linearly, before the schedule proper begins."""

    fraction: float = setting(0.05, at_least=0, below=1)
    """Share of all steps."""

    steps: int | None = setting(None, at_least=0)
    """Number of optimizer steps; replaces `fraction`."""

    def length(self, total: int) -> int:
        """Warm-up steps in a training of `total` steps."""
        return nearest_step(self.fraction, total) if self.steps is None else self.steps


@dataclass(frozen=True)
class Warming:
    """What every schedule with a warm-up has; `build(total, steps_per_epoch)` makes it."""

    warmup: Warmup = group(Warmup, short="fraction")
    """Share of the steps over which the rate rises, or `{steps: n}`."""


class Curve:
    """A warm-up of `warmup` steps, then `body(t)` with t from 0, which is 1 at its start.

    The rate of warm-up step t is (t + 1) / (warmup + 1): no step is wasted at rate 0, and
    the first step of the body is the first at the peak.
    """

    def __init__(self, warmup: int, body: Callable[[int], float]) -> None:
        self._warmup = warmup
        self._body = body

    def factor(self, step: int) -> float:
        if step < self._warmup:
            return (step + 1) / (self._warmup + 1)
        return self._body(step - self._warmup)

    def observe(self, value: float) -> None:
        """A curve is settled in advance."""

    def state(self) -> dict[str, Any]:
        """Nothing: a curve depends on the step alone."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Nothing to take back, even of another schedule, which only an inexact resume brings."""


def decaying(warmup: Warmup, total: int, shape: Callable[[float], float]) -> Curve:
    """`shape(p)` over the steps after the warm-up, p running from 0 towards 1."""
    start = warmup.length(total)
    scale = 1 / max(1, total - start)
    return Curve(start, lambda t: shape(min(1.0, t * scale)))
