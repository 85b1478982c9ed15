"""Schedules of level stretches."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Literal

from ftune.config.decimals import as_written, nearest_step
from ftune.config.fields import group, setting
from ftune.config.read import SettingError
from ftune.optim.schedule import Curve, Schedule, Warming, Warmup

_DEFAULT_DROPS = (0.5, 0.75)
_MOST_DROPS = 10**18  # more no floating-point power takes, and none is different


@dataclass(frozen=True)
class Constant(Warming):
    """The same rate throughout."""

    warmup: Warmup = group(Warmup, short="fraction", default=Warmup(fraction=0.0))
    """Share of the steps over which the rate rises, or `{steps: n}`."""

    def build(self, total: int, steps_per_epoch: int) -> Schedule:  # noqa: ARG002
        return Curve(self.warmup.length(total), lambda _: 1.0)


@dataclass(frozen=True)
class WarmupStableDecay(Warming):
    """Up, level, down (Hu et al. 2024): the level part may be prolonged later."""

    decay: float = setting(0.2, above=0, at_most=1)
    """Share of all steps over which the rate falls, at the end."""

    shape: Literal["linear", "sqrt"] = setting("linear")
    """How it falls: a straight line, or one minus the root of the elapsed share."""

    final: float = setting(0.0, at_least=0)
    """Rate at the end, as a share of the peak."""

    def __post_init__(self) -> None:
        shares = as_written(self.warmup.fraction) + as_written(self.decay)
        if self.warmup.steps is None and shares > 1:
            raise SettingError("decay", "`warmup` and `decay` together are more than all steps")

    def build(self, total: int, steps_per_epoch: int) -> Schedule:  # noqa: ARG002
        warmup, final = self.warmup.length(total), self.final
        length = max(1, min(nearest_step(self.decay, total), total - warmup))
        level = total - warmup - length
        bend = sqrt if self.shape == "sqrt" else float

        def body(t: int) -> float:
            share = min(1.0, max(0, t - level) / length)
            return 1 - (1 - final) * bend(share)

        return Curve(warmup, body)


@dataclass(frozen=True)
class Step(Warming):
    """Drops by a factor at given times, or every so many epochs."""

    at: list[float] | None = setting(None, above=0, below=1)
    """Shares of the training after which the rate drops; [0.5, 0.75] without `every`."""

    every: float | None = setting(None, above=0)
    """Drops after every so many epochs; replaces `at`."""

    gamma: float = setting(0.1, above=0, below=1)
    """What each drop multiplies the rate by."""

    def __post_init__(self) -> None:
        if self.at is not None and self.every is not None:
            raise SettingError("every", "either `every` (epochs) or `at` (shares of the training)")

    def build(self, total: int, steps_per_epoch: int) -> Schedule:
        """The schedule of a training of `total` optimizer steps, drops counted from its start."""
        drops, gamma = self._drops(total, steps_per_epoch), self.gamma
        warmup = self.warmup.length(total)
        return Curve(warmup, lambda t: gamma ** drops(t + warmup))

    @property
    def shares(self) -> list[float] | None:
        """After which shares of the training the rate drops; None where epochs say it."""
        if self.every is not None:
            return None
        return list(_DEFAULT_DROPS) if self.at is None else self.at

    def _drops(self, total: int, steps_per_epoch: int) -> Callable[[int], int]:
        """How often the rate has dropped before a step; the shares are exact."""
        shares = self.shares
        if shares is not None:
            firsts = sorted(ceil(as_written(share) * total) for share in shares)
            return lambda step: bisect_right(firsts, step)
        assert self.every is not None
        length = as_written(self.every) * steps_per_epoch
        return lambda step: min(step * length.denominator // length.numerator, _MOST_DROPS)
