"""Schedules that fall from the peak to the end in one smooth curve."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi

from ftune.config.fields import setting
from ftune.optim.schedule import Curve, Schedule, Warming, decaying


@dataclass(frozen=True)
class _Falling(Warming):
    final: float = setting(0.0, at_least=0)
    """Rate at the end, as a share of the peak."""


@dataclass(frozen=True)
class Linear(_Falling):
    """Falls in a straight line."""

    def build(self, total: int, steps_per_epoch: int) -> Schedule:  # noqa: ARG002
        final = self.final
        return decaying(self.warmup, total, lambda p: 1 - (1 - final) * p)


@dataclass(frozen=True)
class Cosine(_Falling):
    """Falls along half a cosine (Loshchilov and Hutter 2017)."""

    def build(self, total: int, steps_per_epoch: int) -> Schedule:  # noqa: ARG002
        final = self.final
        return decaying(self.warmup, total, lambda p: final + (1 - final) * 0.5 * (1 + cos(pi * p)))


@dataclass(frozen=True)
class Exponential(Warming):
    """Falls by the same factor in every step."""

    final: float = setting(0.01, above=0)
    """Rate at the end, as a share of the peak."""

    gamma: float | None = setting(None, above=0, at_most=1)
    """Factor of each epoch; replaces `final`."""

    def build(self, total: int, steps_per_epoch: int) -> Schedule:
        final, gamma = self.final, self.gamma
        if gamma is None:
            return decaying(self.warmup, total, lambda p: final**p)
        return Curve(self.warmup.length(total), lambda t: gamma ** (t / steps_per_epoch))


@dataclass(frozen=True)
class Polynomial(Warming):
    """Falls as a power of the steps that are left."""

    power: float = setting(2.0, above=0)
    """Exponent; 1 is a straight line, more falls sooner."""

    final: float = setting(0.0, at_least=0)
    """Rate at the end, as a share of the peak."""

    def build(self, total: int, steps_per_epoch: int) -> Schedule:  # noqa: ARG002
        final, power = self.final, self.power
        return decaying(self.warmup, total, lambda p: final + (1 - final) * (1 - p) ** power)
