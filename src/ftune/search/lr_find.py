"""Which learning rate: real short trainings at spaced rates, judged on validation loss.

A ramp within one training confounds the rate with the progress made; here each rate gets a whole
training of its own – same start, same order, the schedule compressed – on a share of the steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from ftune.build import build, job, start
from ftune.data.prepare import Dataset
from ftune.engine.loop import fit
from ftune.engine.observer import Silent
from ftune.errors import DivergedError, RequestError
from ftune.runs.base import Base
from ftune.schema import LookEvery, RunConfig

TOLERANCE = 0.05


@dataclass(frozen=True)
class Point:
    """One short training: its rate and the validation loss it reached (inf where it diverged)."""

    lr: float
    loss: float


@dataclass(frozen=True)
class Finding:
    """suggested: the rate to use. low, high: the rates whose loss is nearly as good."""

    suggested: float
    low: float
    high: float
    curve: tuple[Point, ...]
    steps: int

    @property
    def on_edge(self) -> bool:
        """Whether the best rate is the smallest or largest that was tried."""
        best = min(self.curve, key=lambda p: p.loss).lr
        return best in (self.curve[0].lr, self.curve[-1].lr)


Report = Callable[[Point, int, int], None]


def find(
    config: RunConfig,
    dataset: Dataset,
    base: Base | None,
    report: Report | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Finding:
    """Tries spaced rates, then more of them around the best.

    Raises RequestError without a validation split, or where every rate diverged.
    """
    if dataset.val is None:
        raise RequestError("lr-find judges by validation loss: give `data.split.val`")
    settings, steps = config.lr_find, short_length(config, dataset, base)
    coarse = spaced(settings.low, settings.high, settings.per_decade)
    total = len(coarse) + settings.refine
    points: list[Point] = []

    def attempt(rate: float) -> None:
        points.append(Point(rate, _train_at(rate, steps, config, dataset, base, interrupted)))
        if report:
            report(points[-1], len(points), total)

    for rate in coarse:
        attempt(rate)
    for rate in between(points, settings.refine):
        attempt(rate)
    return conclude(points, steps)


def settle(config: RunConfig, dataset: Dataset, base: Base | None) -> RunConfig:
    """The configuration with a number where it said `lr: auto`."""
    if config.optimizer.lr != "auto":
        return config
    return _with_rate(config, find(config, dataset, base).suggested)


def short_length(config: RunConfig, dataset: Dataset, base: Base | None) -> int:
    """Steps of each short training: a share of the whole."""
    total = build(_with_rate(config, 1.0), dataset, base).total
    return max(1, min(config.lr_find.max_steps, round(total * config.lr_find.budget)))


def spaced(low: float, high: float, per_decade: int) -> list[float]:
    """Rates from low to high, at equal ratios."""
    count = max(2, round(math.log10(high / low) * per_decade) + 1)
    ratio = (high / low) ** (1 / (count - 1))
    return [low * ratio**i for i in range(count)]


def between(points: list[Point], count: int) -> list[float]:
    """`count` rates on both sides of the best one, up to its neighbours."""
    ordered = sorted(points, key=lambda p: p.lr)
    best = min(range(len(ordered)), key=lambda i: ordered[i].loss)
    if not math.isfinite(ordered[best].loss):
        return []
    low = ordered[max(best - 1, 0)].lr
    high = ordered[min(best + 1, len(ordered) - 1)].lr
    middle = ordered[best].lr
    down, up = (count + 1) // 2, count // 2
    lower = [low * (middle / low) ** (i / (down + 1)) for i in range(1, down + 1) if low < middle]
    upper = [middle * (high / middle) ** (i / (up + 1)) for i in range(1, up + 1) if high > middle]
    return lower + upper


def conclude(points: list[Point], steps: int) -> Finding:
    """The suggestion: the middle, in ratio, of the rates that are as good as the best.

    A loss curve over rates is flat near its minimum, and the lowest point there is luck; the
    middle of the connected stretch within TOLERANCE of the best is not.
    """
    ordered = sorted(points, key=lambda p: p.lr)
    best = min(range(len(ordered)), key=lambda i: ordered[i].loss)
    if not math.isfinite(ordered[best].loss):
        raise RequestError("every rate diverged; lower `lr_find.low`")
    bound = ordered[best].loss * (1 + TOLERANCE)
    first = last = best
    while first > 0 and ordered[first - 1].loss <= bound:
        first -= 1
    while last < len(ordered) - 1 and ordered[last + 1].loss <= bound:
        last += 1
    low, high = ordered[first].lr, ordered[last].lr
    return Finding(float(f"{math.sqrt(low * high):.2g}"), low, high, tuple(ordered), steps)


def _train_at(
    rate: float, steps: int, config: RunConfig, dataset: Dataset, base: Base | None,
    interrupted: Callable[[], bool],
) -> float:  # fmt: skip
    """Validation loss after a short training at one rate."""
    short = _with_rate(config, rate)
    train = replace(short.train, steps=steps, early_stop=None)
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
