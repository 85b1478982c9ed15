"""Schedules that rise again, or rise by their own curve."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from math import cos, pi

from ftune.config.fields import group, setting
from ftune.optim.schedule import Curve, Schedule, Warmup


@dataclass(frozen=True)
class CosineRestarts:
    """Half cosines one after the other, each from the peak (SGDR, Loshchilov and Hutter 2017)."""

    warmup: Warmup = group(Warmup, short="fraction")
    """Share of the steps over which the rate rises, or `{steps: n}`."""

    cycles: int = setting(4, at_least=1, at_most=1000)
    """How many half cosines the training is divided into."""

    growth: float = setting(1.0, at_least=1, at_most=10)
    """How much longer each cycle is than the one before."""

    final: float = setting(0.0, at_least=0)
    """Rate at the end of each cycle, as a share of the peak."""

    def build(self, total: int, steps_per_epoch: int) -> Schedule:  # noqa: ARG002
        """The schedule of a training of `total` optimizer steps."""
        warmup, final = self.warmup.length(total), self.final
        lengths = [self.growth**i for i in range(self.cycles)]
        unit = max(1, total - warmup) / sum(lengths)
        starts = [unit * sum(lengths[:i]) for i in range(self.cycles + 1)]

        def body(t: int) -> float:
            i = min(bisect_right(starts, t), len(lengths)) - 1
            share = min(1.0, (t - starts[i]) / (unit * lengths[i]))
            return final + (1 - final) * 0.5 * (1 + cos(pi * share))

        return Curve(warmup, body)


@dataclass(frozen=True)
class OneCycle:
    """Half a cosine up, half a cosine down (Smith and Topin 2019); it is its own warm-up.

    The rate is torch's OneCycleLR with cosines; the momentum stays as the optimizer has it.
    """

    peak_at: float = setting(0.3, above=0, below=1)
    """Share of the steps after which the peak is reached."""

    initial: float = setting(0.04, at_least=0, at_most=1)
    """Rate of the first step, as a share of the peak."""

    final: float = setting(4e-6, at_least=0, at_most=1)
    """Rate of the last step, as a share of the peak."""

    def build(self, total: int, steps_per_epoch: int) -> Schedule:  # noqa: ARG002
        """The schedule of a training of `total` optimizer steps."""
        last = max(1, total - 1)
        peak = min(max(0.0, self.peak_at * total - 1), last - 1)
        initial, final = self.initial, self.final

        def body(t: int) -> float:
            if t < peak:
                return 1 + (initial - 1) * 0.5 * (1 + cos(pi * t / peak))
            share = min(1.0, (t - peak) / (last - peak))
            return final + (1 - final) * 0.5 * (1 + cos(pi * share))

        return Curve(0, body)
