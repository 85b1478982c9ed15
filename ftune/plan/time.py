"""How long a training will take on this machine, and how many steps fit into a time."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ftune.assembly.build import build
from ftune.assembly.job import scored_splits
from ftune.data.dataset import Dataset
from ftune.errors import RequestError
from ftune.plan.probe import Probe, Timing, rehearsed
from ftune.runs.base import Base
from ftune.schema.root import RunConfig

SECONDS, STEPS = 3.0, 200
"""A probe ends after so many seconds, or steps."""
MARGIN = 0.95
"""The share of `train.minutes` that is planned for: a machine is not always as fast."""


@dataclass(frozen=True)
class Speed:
    """Seconds of a step (the mean of an epoch), of an evaluation, of the final scores."""

    step: float
    evaluation: float
    final: float
    steps_per_epoch: int
    eval_every: int | None

    @property
    def epoch(self) -> float:
        """Seconds of an epoch with its evaluations."""
        return self.seconds(self.steps_per_epoch)

    def seconds(self, steps: int) -> float:
        """Return the seconds of steps and evaluations between them."""
        every = self.eval_every
        return steps * self.step + (steps / every * self.evaluation if every else 0.0)

    def whole(self, total: int) -> float:
        """Return the seconds from the first evaluation to the final scores."""
        return self.evaluation + self.seconds(total) + self.final

    def steps_in(self, seconds: float) -> int:
        """Return how many steps end in time. Raises RequestError where it is not one."""
        rest = MARGIN * seconds - self.evaluation - self.final
        steps = math.floor(rest / self.seconds(1)) if rest > 0 else 0
        if steps < 1:
            raise RequestError(
                f"train.minutes: one step, the evaluations and the final scores take "
                f"{self.whole(1) / 60:.2g} minutes here; give more, or a smaller split"
            )
        return steps


def with_length(
    config: RunConfig, dataset: Dataset, base: Base | None
) -> tuple[RunConfig, list[str]]:
    """Return the configuration with steps in the place of `train.minutes`, and a note about it."""
    minutes = config.train.minutes
    if minutes is None:
        return config, []
    rehearsal = rehearsed(config)
    speed = measure(Probe(build(rehearsal, dataset, base), rehearsal))
    steps = speed.steps_in(60 * minutes)
    note = (
        f"train.minutes: {minutes:g} minutes are {steps:,} steps "
        f"({steps / speed.steps_per_epoch:.4g} epochs) at {1 / speed.step:.3g} steps/s, evaluations"
        f" of {speed.evaluation:.2g} s included; config.yaml keeps them as `train.steps`"
    )
    return replace(config, train=replace(config.train, steps=steps, minutes=None)), [note]


def measure(probe: Probe) -> Speed:
    """Return the speed, from steps and evaluations of different sizes.

    What the probe has done before counts; its first step, which is slower, counts where there is no
    other of its size.
    """
    parts, per_epoch = probe.parts, probe.parts.batches.steps_per_epoch
    order = sorted(range(per_epoch), key=probe.costs.__getitem__)
    chosen = [order[per_epoch // 2], order[per_epoch // 10], order[per_epoch * 9 // 10]]
    repeat(chosen, probe.step, SECONDS)
    step = statistics.fmean(predicted(probe.steps, probe.costs))
    names = {*scored_splits(parts), *(["val"] if parts.dataset.val is not None else [])}
    each = {name: _evaluation(probe, name) for name in names}
    final = sum(seconds for name, seconds in each.items() if name != "val")
    every = probe.config.eval_.every.in_steps(per_epoch) if "val" in each else None
    return Speed(step, each.get("val", 0.0), final, per_epoch, every)


def _evaluation(probe: Probe, name: str) -> float:
    """Return the seconds of one evaluation of a split."""
    sizes = [size for _, size in probe.pieces(name)]
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    repeat([order[len(sizes) // 2]], partial(probe.evaluate, name), SECONDS / 6)
    return sum(predicted(probe.evaluations[name], sizes))


def repeat(indices: Sequence[int], run: Callable[[int], None], limit: float) -> None:
    """Run with the indices in turn until the limit, the first at least."""
    began = time.perf_counter()
    for count in range(STEPS):
        run(indices[count % len(indices)])
        if time.perf_counter() - began > limit:
            return


def predicted(taken: Sequence[Timing], sizes: Sequence[float]) -> list[float]:
    """Return the seconds of each size, by a line through the medians of the sizes measured.

    Of each size the first is left out where there are others: it warms up.
    """
    at: dict[float, list[float]] = {}
    for size, seconds in taken:
        at.setdefault(size, []).append(seconds)
    points = [(size, statistics.median(of[len(of) > 1 :])) for size, of in at.items()]
    if len(points) == 1:
        return [points[0][1]] * len(sizes)
    slope, start = statistics.linear_regression(*zip(*points, strict=True))
    least = min(seconds for _, seconds in points) / 2
    return [max(least, start + slope * size) for size in sizes]
