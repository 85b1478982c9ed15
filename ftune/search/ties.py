"""Which rates the validation rows can tell apart.

Of rates that they cannot, the smallest is taken: the one-standard-error rule of Breiman, Friedman,
Olshen and Stone (1984), with a smaller rate in the place of a smaller tree. The trainings of a
search are shorter than the whole, and short trainings favour large rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ftune.errors import RequestError
from ftune.search.row_losses import RowLosses


@dataclass(frozen=True)
class Point:
    """One short training: its rate, its steps, its validation loss (inf where it diverged)."""

    lr: float
    loss: float
    steps: int
    rows: RowLosses | None = field(default=None, compare=False, repr=False)


# Where nothing is known of the model before its training, every loss is an improvement.
UNKNOWN = Point(0.0, math.inf, 0)


def best_of(points: Sequence[Point]) -> Point:
    """Raises RequestError where every rate diverged."""
    best = min(points, key=lambda p: p.loss)
    if not math.isfinite(best.loss):
        raise RequestError("every learning rate diverged; lower `lr_find.low`")
    return best


def tied(point: Point, best: Point) -> bool:
    """Whether the rows cannot tell that `point` is worse than `best`.

    They cannot where the losses are equal, where both are below what so many right answers can
    show, and where the mean difference is within its standard error. That needs rows for the one
    and rows for the other: differences that are all of one sign have a mean of an error or more.
    """
    if not math.isfinite(point.loss):
        return False
    if point.loss <= max(best.loss, best.rows.floor if best.rows else 0.0):
        return True
    return not _told_apart(point, best)


def learned(point: Point, untrained: Point) -> bool:
    """Whether the rows can tell that `point` is better than the model before its training."""
    return point.loss < untrained.loss and _told_apart(untrained, point)


def chosen(points: Sequence[Point], untrained: Point = UNKNOWN) -> Point:
    """The smallest rate of those next to the best that are tied with it and have learned.

    Where even the best cannot be told from the untrained model, ties mean nothing and the best
    is returned.
    """
    order = sorted(points, key=lambda p: p.lr)
    best = best_of(order)
    choice = best
    for point in reversed(order[: order.index(best)]):
        if not (tied(point, best) and learned(point, untrained)):
            break
        choice = point
    return choice


def rivals(points: Sequence[Point], untrained: Point = UNKNOWN) -> list[Point]:
    """The chosen rate and those above it that the rows cannot tell from the best, by rate."""
    best, choice = best_of(points), chosen(points, untrained)
    order = sorted(points, key=lambda p: p.lr)
    if not learned(best, untrained):
        return [best]
    return [p for p in order if p.lr >= choice.lr and (p is choice or tied(p, best))]


def _told_apart(worse: Point, better: Point) -> bool:
    if not math.isfinite(worse.loss):
        return True
    if worse.rows is None or better.rows is None:
        return worse.loss > better.loss
    difference, error = worse.rows.above(better.rows)
    return difference >= error * (1 - 1e-9)
