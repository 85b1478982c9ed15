"""Which learning rate: real short trainings at spaced rates, judged on validation loss.

A ramp within one training confounds the rate with the progress made; here each rate gets a whole
training of its own: same start, same order, the schedule compressed. A first pass of very short
trainings finds the region, a second pass of longer ones the rate within it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ftune.build import build, start
from ftune.data.dataset import Dataset
from ftune.drive import job
from ftune.engine.loop import fit
from ftune.engine.observer import Silent
from ftune.errors import DivergedError, RequestError
from ftune.runs.base import Base
from ftune.schema import LookEvery, NonFinite, RunConfig

TOLERANCE = 1.2
CLIP = 1.5


@dataclass(frozen=True)
class Point:
    """One short training: its rate, its steps, its validation loss (inf where it diverged)."""

    lr: float
    loss: float
    steps: int


@dataclass(frozen=True)
class Finding:
    """suggested: the rate to use. low, high: rates of the second pass nearly as good.

    curve: the second pass. survey: the first. on_edge: whether the best rate is the smallest or
    largest that was tried.
    """

    suggested: float
    low: float
    high: float
    curve: tuple[Point, ...]
    survey: tuple[Point, ...]
    on_edge: bool


Report = Callable[[Point, int, int], None]
Attempt = Callable[[float, int], Point]


def find(
    config: RunConfig,
    dataset: Dataset,
    base: Base | None,
    report: Report | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Finding:
    """Tries spaced rates, then closer ones around the best.

    Raises RequestError without a validation split, or where every rate diverged.
    """
    if dataset.val is None:
        raise RequestError("lr-find judges by validation loss: give `data.split.val`")
    settings, total = config.lr_find, build(_with_rate(config, 1.0), dataset, base).total
    rates = spaced(settings.low, settings.high, settings.per_decade)
    done: list[Point] = []

    def attempt(rate: float, steps: int) -> Point:
        loss = _train_at(rate, steps, config, dataset, base, interrupted)
        done.append(Point(rate, loss, steps))
        if report:
            report(done[-1], len(done), len(rates) + settings.refine)
        return done[-1]

    lengths = [max(1, min(settings.max_steps, round(total * s))) for s in _shares(config)]
    survey = [attempt(rate, lengths[0]) for rate in rates]
    curve = refined(survey, attempt, lengths[1], settings.refine, settings.per_decade)
    return conclude(survey, curve)


def settle(config: RunConfig, dataset: Dataset, base: Base | None) -> RunConfig:
    """The configuration with a number where it said `lr: auto`."""
    if config.optimizer.lr != "auto":
        return config
    return _with_rate(config, find(config, dataset, base).suggested)


def spaced(low: float, high: float, per_decade: int) -> list[float]:
    """Rates from low to high, at equal ratios."""
    count = max(2, round(math.log10(high / low) * per_decade) + 1)
    ratio = (high / low) ** (1 / (count - 1))
    return [low * ratio**i for i in range(count)]


def refined(
    survey: Sequence[Point], attempt: Attempt, steps: int, count: int, per_decade: int
) -> list[Point]:
    """The second pass: `count` rates up to the neighbours of the survey's best, and on from there.

    Where its best is its smallest or largest rate, the pass goes on in that direction, for at
    most `count` more rates.
    """
    centre = best_of(survey).lr
    reach = 10 ** (1 / per_decade)
    points = [attempt(rate, steps) for rate in _around(centre, reach, count)]
    ratio = reach ** (2 / (count - 1))
    for _ in range(count):
        best = best_of(points)
        if best.lr == points[0].lr:
            points.insert(0, attempt(best.lr / ratio, steps))
        elif best.lr == points[-1].lr:
            points.append(attempt(best.lr * ratio, steps))
        else:
            break
    return points


def conclude(survey: Sequence[Point], curve: Sequence[Point]) -> Finding:
    """The lowest point of a parabola through the second pass, log loss over log rate.

    One training per rate is noisy; the parabola uses all of them. Losses far above the best are
    clipped, so that a rate that diverged does not bend it. Where it has no lowest point within
    the rates tried, the best of them is suggested.
    """
    best = best_of(curve)
    suggested = _vertex(curve, best)
    near = [p.lr for p in curve if p.loss <= best.loss * TOLERANCE]
    low, high = min(*near, suggested, best.lr), max(*near, suggested, best.lr)
    on_edge = best.lr in (curve[0].lr, curve[-1].lr)
    return Finding(float(f"{suggested:.2g}"), low, high, tuple(curve), tuple(survey), on_edge)


def best_of(points: Sequence[Point]) -> Point:
    """Raises RequestError where every rate diverged."""
    best = min(points, key=lambda p: p.loss)
    if not math.isfinite(best.loss):
        raise RequestError("every learning rate diverged; lower `lr_find.low`")
    return best


def _vertex(curve: Sequence[Point], best: Point) -> float:
    import numpy as np

    if best.loss <= 0:
        return best.lr
    x = np.log([p.lr for p in curve])
    y = np.clip(np.log([max(p.loss, 1e-300) for p in curve]), None, math.log(best.loss) + CLIP)
    bend, slope, _ = np.polyfit(x - math.log(best.lr), y, 2)
    if bend <= 0:
        return best.lr
    lowest = math.log(best.lr) - slope / (2 * bend)
    return math.exp(min(max(lowest, x[0]), x[-1]))


def _around(centre: float, reach: float, count: int) -> list[float]:
    return [centre * reach ** (2 * i / (count - 1) - 1) for i in range(count)]


def _shares(config: RunConfig) -> tuple[float, float]:
    return config.lr_find.first, config.lr_find.second


def _train_at(
    rate: float,
    steps: int,
    config: RunConfig,
    dataset: Dataset,
    base: Base | None,
    interrupted: Callable[[], bool],
) -> float:
    """Validation loss after a training of `steps` at one rate; inf where it diverged."""
    short = _with_rate(config, rate)
    faults = NonFinite()  # a rate that diverges shall be seen to
    train = replace(short.train, steps=steps, early_stop=None, non_finite=faults, spike_guard=None)
    look = replace(short.eval_, every=LookEvery(steps=steps))
    parts = build(replace(short, train=train, eval_=look), dataset, base)
    watcher = Silent(interrupted)
    try:
        outcome = fit(start(parts), job(parts, watcher))
    except DivergedError:
        return math.inf
    if outcome.reason == "interrupted":
        raise KeyboardInterrupt
    loss = watcher.scores["loss"]
    return loss if math.isfinite(loss) else math.inf


def _with_rate(config: RunConfig, rate: float) -> RunConfig:
    return replace(config, optimizer=replace(config.optimizer, lr=rate))
