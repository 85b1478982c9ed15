"""Schedules that fall from the peak to the end in one smooth curve."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi

from ftune.config.fields import group, setting
from ftune.optim.schedule import Curve, Schedule, Warmup, decaying


@dataclass(frozen=True)
class Linear:
    """Falls in a straight line."""

    warmup: Warmup = group(Warmup, short="fraction")
    """Share of the steps over which the rate rises, or `{steps: n}`."""

    final: float = setting(0.0, at_least=0)
    """Rate at the end, as a share of the peak."""

    def build(self, total: int, steps_per_epoch: int) -> Schedule:  # noqa: ARG002
        """The schedule of a training of `total` optimizer steps."""
        final = self.final
        return decaying(self.warmup, total, lambda p: 1 - (1 - final) * p)


@dataclass(frozen=True)
class Cosine:
    """Falls along half a cosine (Loshchilov and Hutter 2017)."""

    warmup: Warmup = group(Warmup, short="fraction")
    """Share of the steps over which the rate rises, or `{steps: n}`."""

    final: float = setting(0.0, at_least=0)
    """Rate at the end, as a share of the peak."""

    def build(self, total: int, steps_per_epoch: int) -> Schedule:  # noqa: ARG002
        """The schedule of a training of `total` optimizer steps."""
        final = self.final
        return decaying(self.warmup, total, lambda p: final + (1 - final) * 0.5 * (1 + cos(pi * p)))


@dataclass(frozen=True)
class Exponential:
    """Falls by the same factor in every step."""

    warmup: Warmup = group(Warmup, short="fraction")
    """Share of the steps over which the rate rises, or `{steps: n}`."""

    final: float = setting(0.01, above=0)
    """Rate at the end, as a share of the peak."""

    gamma: float | None = setting(None, above=0, at_most=1)
    """Factor of each epoch; replaces `final`."""

    def build(self, total: int, steps_per_epoch: int) -> Schedule:
        """The schedule of a training of `total` optimizer steps."""
        final, gamma = self.final, self.gamma
        if gamma is None:
            return decaying(self.warmup, total, lambda p: final**p)
        return Curve(self.warmup.length(total), lambda t: gamma ** (t / steps_per_epoch))


@dataclass(frozen=True)
class Polynomial:
    """Falls as a power of the steps that are left."""

    warmup: Warmup = group(Warmup, short="fraction")
    """Share of the steps over which the rate rises, or `{steps: n}`."""

    power: float = setting(2.0, above=0)
    """Exponent; 1 is a straight line, more falls sooner."""

    final: float = setting(0.0, at_least=0)
    """Rate at the end, as a share of the peak."""

    def build(self, total: int, steps_per_epoch: int) -> Schedule:  # noqa: ARG002
        """The schedule of a training of `total` optimizer steps."""
        final, power = self.final, self.power
        return decaying(self.warmup, total, lambda p: final + (1 - final) * (1 - p) ** power)
