"""Which learning rate: real short trainings at spaced rates, judged on validation loss.

A ramp within one training confounds the rate with the progress made; here each rate gets a whole
training of its own: same start, same order, the schedule compressed. A first pass of very short
trainings finds the region, a second pass of longer ones the rate within it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ftune.assembly.build import build, start
from ftune.assembly.job import job, score
from ftune.assembly.parts import Parts
from ftune.data.dataset import Dataset, Split
from ftune.engine.callback import NullCallback
from ftune.engine.loop import fit
from ftune.errors import DivergedError, RequestError
from ftune.runs.base import Base
from ftune.schema.interval import EvalInterval
from ftune.schema.root import RunConfig
from ftune.schema.train import NonFinite
from ftune.search.caveats import before, what_remains_open
from ftune.search.row_losses import row_losses
from ftune.search.ties import UNKNOWN, Point, best_of, chosen, learned, rivals, tied

TOLERANCE = 1.2
CLIP = 1.5
RATE = "learning rate: "


@dataclass(frozen=True)
class LrFindResult:
    """suggested: the rate to use. low, high: rates of the second pass nearly as good.

    curve: the second pass. survey: the first. on_edge: whether the best rate is the smallest or
    largest that was tried. notes: what the search could not tell, in words.
    """

    suggested: float
    low: float
    high: float
    curve: tuple[Point, ...]
    survey: tuple[Point, ...]
    on_edge: bool
    notes: tuple[str, ...] = ()


Report = Callable[[Point, int, int], None]
TrainAt = Callable[[float, int], Point]


def judging(dataset: Dataset) -> Split:
    """Return the split that judges the rates. Raises RequestError where there is none."""
    if dataset.val is None:
        raise RequestError("lr-find judges by validation loss: give `data.split.val`")
    return dataset.val


def find(
    config: RunConfig, dataset: Dataset, base: Base | None,
    report: Report | None = None, interrupted: Callable[[], bool] = lambda: False,
) -> LrFindResult:  # fmt: skip
    """Try spaced rates, then closer ones around the best; return what was found.

    Raises RequestError without a validation split, or where every rate diverged.
    """
    val, settings = judging(dataset), config.lr_find
    parts = build(with_rate(config, 1.0), dataset, base)
    rates = spaced(settings.low, settings.high, settings.per_decade)
    done: list[Point] = []

    def train_at(rate: float, steps: int) -> Point:
        done.append(_short_training(rate, steps, config, dataset, base, interrupted))
        if report:
            report(done[-1], len(done), len(rates) + settings.refine)
        return done[-1]

    shares = (settings.first, settings.second)
    lengths = [max(1, min(settings.max_steps, round(parts.total * s))) for s in shares]
    untrained = _judged(0.0, score(parts, val)["loss"], 0, parts)
    survey = [train_at(rate, lengths[0]) for rate in rates]
    curve = refined(survey, train_at, lengths[1], settings.refine, settings.per_decade, untrained)
    finding = conclude(survey, curve, untrained)
    open_questions = what_remains_open(survey, curve, untrained, finding.on_edge)
    return replace(finding, notes=(*open_questions, *before(config.schedule, parts, lengths)))


def resolve_auto_lr(
    config: RunConfig, dataset: Dataset, base: Base | None,
    search: Callable[[RunConfig, Dataset, Base | None], LrFindResult] = find,
) -> tuple[RunConfig, list[str]]:  # fmt: skip
    """Return the configuration with a number in the place of `lr: auto`, and notes about it."""
    if config.optimizer.lr != "auto":
        return config, []
    finding = search(config, dataset, base)
    return with_rate(config, finding.suggested), [RATE + note for note in finding.notes]


def spaced(low: float, high: float, per_decade: int) -> list[float]:
    """Return rates from low to high, at equal ratios."""
    count = max(2, round(math.log10(high / low) * per_decade) + 1)
    ratio = (high / low) ** (1 / (count - 1))
    return [low * ratio**i for i in range(count)]


def refined(
    survey: Sequence[Point], train_at: TrainAt, steps: int, count: int, per_decade: int,
    untrained: Point = UNKNOWN,
) -> list[Point]:  # fmt: skip
    """Return the second pass: rates up to the neighbours of the survey's best, and on from there.

    It has `count` rates. Where its best is at an end, the pass goes on in that direction, for at
    most `count` more rates, as long as they improve on the untrained model. Of rates that tie the
    smallest is the best, in both passes.
    """
    centre = chosen(survey, untrained).lr
    reach = 10 ** (1 / per_decade)
    points = [train_at(rate, steps) for rate in _around(centre, reach, count)]
    ratio = reach ** (2 / (count - 1))
    for _ in range(count):
        best = chosen(points, untrained)
        if not learned(best, untrained):
            break
        if best.lr == points[0].lr:
            down = reach if tied(points[1], best) else ratio  # a tie may go on for decades
            points.insert(0, train_at(best.lr / down, steps))
        elif best.lr == points[-1].lr:
            points.append(train_at(best.lr * ratio, steps))
        else:
            break
    return points


def conclude(
    survey: Sequence[Point], curve: Sequence[Point], untrained: Point = UNKNOWN
) -> LrFindResult:
    """Return the lowest point of a parabola through the second pass, log loss over log rate.

    One training per rate is noisy; the parabola uses all of them. Losses far above the best are
    clipped, so that a rate that diverged does not bend it. Where it has no lowest point within
    the rates tried, the best of them is suggested. Where the rows cannot tell the best from
    smaller rates, the smallest of these is.
    """
    best, alike = best_of(curve), rivals(curve, untrained)
    choice = alike[0]
    suggested = choice.lr if len(alike) > 1 else _vertex(curve, best)
    near = [p.lr for p in curve if p.loss <= best.loss * TOLERANCE or p in alike]
    low, high = min(*near, suggested, best.lr), max(*near, suggested, best.lr)
    on_edge = choice.lr in (curve[0].lr, curve[-1].lr)
    return LrFindResult(float(f"{suggested:.2g}"), low, high, tuple(curve), tuple(survey), on_edge)


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


def _short_training(
    rate: float, steps: int, config: RunConfig, dataset: Dataset, base: Base | None,
    interrupted: Callable[[], bool],
) -> Point:  # fmt: skip
    """Return the point of a training of `steps` at one rate."""
    short = with_rate(config, rate)
    faults = NonFinite()  # a rate that diverges shall be seen to
    train = replace(short.train, steps=steps, early_stop=None, non_finite=faults, spike_guard=None)
    look = replace(short.eval_, every=EvalInterval(steps=steps))
    parts = build(replace(short, train=train, eval_=look), dataset, base)
    watcher, state = NullCallback(interrupted), start(parts)
    try:
        outcome = fit(state, job(parts, watcher))
    except DivergedError:
        return Point(rate, math.inf, steps)
    if outcome.reason == "interrupted":
        raise KeyboardInterrupt
    with state.evaluated():
        return _judged(rate, watcher.scores["loss"], steps, parts)


def _judged(rate: float, loss: float, steps: int, parts: Parts) -> Point:
    if not math.isfinite(loss):
        return Point(rate, math.inf, steps)
    return Point(rate, loss, steps, row_losses(parts))


def with_rate(config: RunConfig, rate: float) -> RunConfig:
    """Return the configuration with another learning rate."""
    return replace(config, optimizer=replace(config.optimizer, lr=rate))
