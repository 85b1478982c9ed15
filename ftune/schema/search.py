"""The blocks `lr_find:` and `sweep:`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ftune.config.fields import group, setting
from ftune.config.read import SettingError


@dataclass(frozen=True)
class LrFind:
    """The search for a learning rate by short trainings."""

    low: float = setting(1e-5, above=0)
    """Smallest rate that is tried."""

    high: float = setting(1.0, above=0)
    """Largest rate that is tried."""

    per_decade: int = setting(2, at_least=1, at_most=12)
    """Rates per factor of ten in the first pass."""

    refine: int = setting(5, at_least=3, at_most=15)
    """Rates of the second pass, closer together around the best of the first."""

    first: float = setting(0.1, above=0, at_most=1)
    """Length of each training of the first pass, as a share of the whole."""

    second: float = setting(0.5, above=0, at_most=1)
    """Length of each training of the second pass, as a share of the whole."""

    max_steps: int = setting(2000, at_least=1)
    """Longest of these trainings, in steps."""

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise SettingError("low", "must be below `high`")


@dataclass(frozen=True)
class Halving:
    """Successive halving: all trials a short way, the better ones on from there."""

    rungs: int = setting(3, at_least=2, at_most=8)
    """How often the field is thinned, the last rung being the whole training."""

    factor: int = setting(3, at_least=2, at_most=10)
    """One in so many trials goes on, each for so many times the steps."""


@dataclass(frozen=True)
class Sweep:
    """A study over settings of this file."""

    question: str | None = setting(None)
    """What the sweep shall answer; printed with its result."""

    scientific: dict[str, Any] = setting({}, open=True)
    """Settings whose effect is asked for: `key.path: [values]` or `{low, high, log, step}`. A value
    may be a whole block, `optimizer: [adamw, {name: sgd, momentum: 0.9}]`, so that each variant
    has settings of its own."""

    nuisance: dict[str, Any] = setting({}, open=True)
    """Settings that must be tuned for a fair answer, in the same form."""

    trials: int | None = setting(None, at_least=1)
    """How many trials; default the whole grid, or 20. One with the settings of an earlier trial
    takes over its result and is not trained again."""

    sampler: Literal["auto", "grid", "qmc", "tpe"] = setting("auto")
    """Where the next trial lies; `auto` is grid where all settings are lists, else qmc."""

    halving: Halving | None = group(Halving, short="rungs", default=None)
    """Successive halving with resumed trials; a bare number is the count of rungs."""

    def __post_init__(self) -> None:
        if not self.scientific and not self.nuisance:
            raise SettingError("scientific", "name at least one setting to vary")
        twice = set(self.scientific) & set(self.nuisance)
        if twice:
            raise SettingError(
                "nuisance", f"{', '.join(sorted(twice))} stands under scientific too"
            )
