"""Schedules that rise again, or rise by their own curve."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from math import cos, pi

from ftune.config.decimals import as_written
from ftune.config.fields import setting
from ftune.optim.schedule import Curve, Schedule, Warming


@dataclass(frozen=True)
class CosineRestarts(Warming):
    """Half cosines one after the other, each from the peak (SGDR, Loshchilov and Hutter 2017)."""

    cycles: int = setting(4, at_least=1, at_most=1000)
    """How many half cosines the training is divided into."""

    growth: float = setting(1.0, at_least=1, at_most=10)
    """How much longer each cycle is than the one before."""

    final: float = setting(0.0, at_least=0)
    """Rate at the end of each cycle, as a share of the peak."""

    def build(self, total: int, steps_per_epoch: int) -> Schedule:  # noqa: ARG002
        warmup, final = self.warmup.length(total), self.final
        length = max(1, total - warmup)
        ends = list(accumulate(self._lengths(), initial=0))  # in parts of which ends[-1] are all
        firsts = [-(-length * end // ends[-1]) for end in ends]

        def body(t: int) -> float:
            if t >= length:
                return final
            i = bisect_right(firsts, t) - 1
            share = (t * ends[-1] - length * ends[i]) / (length * (ends[i + 1] - ends[i]))
            return final + (1 - final) * 0.5 * (1 + cos(pi * share))

        return Curve(warmup, body)

    def _lengths(self) -> list[int]:
        """Lengths of the cycles, in whole numbers: a boundary rounded up would cost a peak."""
        growth, last = as_written(self.growth), self.cycles - 1
        return [growth.numerator**i * growth.denominator ** (last - i) for i in range(self.cycles)]


@dataclass(frozen=True)
class OneCycle:
    """Half a cosine up, half a cosine down (Smith and Topin 2019); it is its own warm-up.

    The rate is torch's OneCycleLR with cosines; the momentum stays as the optimizer has it. A
    training of one step is at the peak.
    """

    peak_at: float = setting(0.3, above=0, below=1)
    """Share of the steps after which the peak is reached."""

    initial: float = setting(0.04, at_least=0, at_most=1)
    """Rate of the first step, as a share of the peak."""

    final: float = setting(4e-6, at_least=0, at_most=1)
    """Rate of the last step, as a share of the peak."""

    def build(self, total: int, steps_per_epoch: int) -> Schedule:  # noqa: ARG002
        last, peak = total - 1, self.peak_at * total - 1
        initial, final = self.initial, self.final

        def body(t: int) -> float:
            if last == 0:
                return 1.0
            if t < peak:
                return 1 + (initial - 1) * 0.5 * (1 + cos(pi * t / peak))
            share = min(1.0, (t - peak) / (last - peak))
            return final + (1 - final) * 0.5 * (1 + cos(pi * share))

        return Curve(0, body)
