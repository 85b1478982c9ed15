"""Schedules whose rate falls so low that most of a training moves nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from ftune.optim import SCHEDULES

NOTHING = 1e-8
"""Share of the peak rate below which fp32 weights hardly change: its resolution is 6e-8."""

_LATE = 0.9  # a polynomial ends at 0 as it should; before this share it ends too soon

_FINE = 1000  # steps of an epoch, where that is not known


def fading(
    schedule: Any, steps: int | None, epochs: float | None, per_epoch: int | None
) -> Iterator[str]:
    """A sentence where a schedule that only falls ends at next to nothing, if that is known."""
    if not any(_is(schedule, name) for name in ("step", "exponential", "polynomial")):
        return
    by_epoch = _by_epoch(schedule)
    if steps is None or (by_epoch and per_epoch is None):
        if epochs is None or schedule.warmup.steps:
            return
        per_epoch = _FINE
        steps = max(1, round(epochs * _FINE))
    built = schedule.build(steps, per_epoch or 1)
    start, last = schedule.warmup.length(steps), built.factor(steps - 1)
    if last >= NOTHING:
        return
    first = bisect_left(range(steps), True, start, key=lambda t: built.factor(t) < NOTHING)
    if _is(schedule, "polynomial") and first >= _LATE * steps:
        return
    yield (
        f"the schedule's rate is below {NOTHING:g} of its peak after {first / steps:.1%} of the "
        f"training and at {last:.3g} at its end: from there on next to nothing is learned"
    )


def _by_epoch(schedule: Any) -> bool:
    """Whether the rate falls by epochs, not by shares of the training."""
    return getattr(schedule, "every" if _is(schedule, "step") else "gamma", None) is not None


def _is(schedule: Any, name: str) -> bool:
    return isinstance(schedule, SCHEDULES[name])
