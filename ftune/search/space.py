"""The settings a sweep varies, as axes."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ftune.errors import ConfigError, Problem, RequestError
from ftune.schema.root import LANGUAGE, RunConfig
from ftune.schema.search import Sweep

MOST_SAMPLES = 6
MOST_WORDS = 50
MOST_POINTS = 10**12


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class Choices:
    """One of a list of values."""

    values: tuple[Any, ...]

    @property
    def samples(self) -> tuple[Any, ...]:
        """Values whose acceptance by the configuration stands for the whole axis.

        Of many numbers the ends and some between: settings refuse numbers by their size.
        """
        if len(self.values) <= MOST_SAMPLES or not all(map(_is_number, self.values)):
            return self.values
        step = math.ceil(len(self.values) / (MOST_SAMPLES - 2))
        return (min(self.values), max(self.values), *self.values[::step])

    def edge(self, value: Any) -> str | None:
        """`lowest` or `highest` where `value` is the end of three numbers or more."""
        numbers = [v for v in self.values if _is_number(v)]
        if len(numbers) < max(3, len(self.values)):
            return None
        return "lowest" if value == min(numbers) else "highest" if value == max(numbers) else None


@dataclass(frozen=True)
class Range:
    """A number between `low` and `high`, both included; in equal ratios with `log`."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def samples(self) -> tuple[Any, ...]:
        return (self.low, self.high)

    def edge(self, value: float) -> str | None:
        """`lowest` or `highest` where `value` lies within 5 % of the range's end."""
        scale = math.log if self.log else float
        share = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return "lowest" if share <= 0.05 else "highest" if share >= 0.95 else None


Axis = Choices | Range
Space = Mapping[str, Axis]


def parse_space(sweep: Sweep) -> dict[str, Axis]:
    """Every axis by its key. Raises ConfigError for those that are neither list nor range."""
    axes: dict[str, Axis] = {}
    problems: list[Problem] = []
    for key, value in {**sweep.scientific, **sweep.nuisance}.items():
        try:
            axes[key] = _axis(value)
        except _NoAxisError as error:
            problems.append(Problem("sweep", key, "value", str(error)))
    if problems:
        raise ConfigError(problems)
    return axes


def overrides(params: Mapping[str, Any]) -> list[str]:
    """A trial's values as `key=value`; JSON is YAML."""
    return [f"{key}={json.dumps(value)}" for key, value in params.items()]


def check_space(plain: Mapping[str, Any], space: Space) -> None:
    """Raises ConfigError with every value that is not accepted, before anything is trained."""
    if "base" in space:
        raise RequestError(
            "sweep: `base`: all trials of a sweep start from the same model; sweep each base by "
            "itself, with `--base`"
        )
    fixed = {key: axis.samples[0] for key, axis in space.items()}
    if plain.get("sweep"):  # without its lists, which each reading would read once more
        short = {**plain["sweep"], "scientific": {"seed": [0]}, "nuisance": {}}
        plain = {**plain, "sweep": short}
    problems: list[Problem] = []
    for key, axis in space.items():
        for value in axis.samples:
            try:
                LANGUAGE.of(plain, overrides({**fixed, key: value}), source="sweep")
            except ConfigError as error:
                problems += [_of_one_variant(problem, space) for problem in error.problems]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def _of_one_variant(problem: Problem, space: Space) -> Problem:
    """With the remedy where a setting is not one of every variant that the sweep tries."""
    block, _, setting = problem.key.rpartition(".")
    if problem.kind != "misplaced" or not block or not {block, f"{block}.name"} & set(space):
        return problem
    remedy = (
        f"a setting of one variant only goes into its block: `{block}: [NAME, {{name: NAME, "
        f"{setting}: …}}]`"
    )
    return replace(problem, hint=f"{problem.hint}; {remedy}" if problem.hint else remedy)


def grid_size(space: Space) -> int:
    """Points of a grid. Raises RequestError where they are too many to be numbered."""
    size = math.prod(len(axis.values) for axis in space.values() if isinstance(axis, Choices))
    if size > MOST_POINTS:
        raise RequestError(
            f"sweep: a grid of {size:,} points; write ranges ({{low: …, high: …}}), or fewer values"
        )
    return size


def grid(space: Space) -> list[dict[str, Any]]:
    """Every combination of lists, the first axis changing slowest."""
    return [_point(space, number) for number in range(grid_size(space))]


def grid_points(space: Space, count: int, seed: int) -> list[dict[str, Any]]:
    """The whole grid in order, or `count` of its points drawn without repetition."""
    if count < grid_size(space):  # rather other points than one whose value is written twice
        without = {key: _distinct(axis) for key, axis in space.items()}
        space = without if count <= grid_size(without) else space
    size = grid_size(space)
    numbers = range(size) if count >= size else random.Random(seed).sample(range(size), count)
    return [_point(space, number) for number in numbers]


def _distinct(axis: Axis) -> Axis:
    """A list without the values that stand in it again."""
    if not isinstance(axis, Choices):
        return axis
    return Choices(tuple({json.dumps(value): value for value in axis.values}.values()))


def _point(space: Space, number: int) -> dict[str, Any]:
    """The point at a place of the grid."""
    point: dict[str, Any] = {}
    for key in reversed(list(space)):
        axis = space[key]
        assert isinstance(axis, Choices)
        number, digit = divmod(number, len(axis.values))
        point[key] = axis.values[digit]
    return {key: point[key] for key in space}


def is_grid(space: Space) -> bool:
    return all(isinstance(axis, Choices) for axis in space.values())


def configured(plain: Mapping[str, Any], params: Mapping[str, Any]) -> RunConfig:
    """The configuration of one trial."""
    return LANGUAGE.of(plain, overrides(params), source="sweep")


class _NoAxisError(ValueError):
    """A value under `sweep:` that spans nothing; the message says what to write."""


def _axis(value: Any) -> Axis:
    if isinstance(value, list) and value:
        if len(value) > MOST_WORDS and not all(map(_is_number, value)):
            raise _NoAxisError(f"{len(value):,} values, not all numbers; at most {MOST_WORDS}")
        return Choices(tuple(value))
    if isinstance(value, dict) and {"low", "high"} <= set(value) <= {"low", "high", "log", "step"}:
        return _range(**value)
    raise _NoAxisError("expected a list of values, or {low: …, high: …, log: true}")


def _range(low: Any, high: Any, log: Any = False, step: Any = None) -> Range:
    numbers = [low, high, *([step] if step is not None else [])]
    if not all(map(_is_number, numbers)):
        raise _NoAxisError("low, high and step are numbers")
    if not low < high or (log and low <= 0) or (log and step is not None):
        raise _NoAxisError("needs low < high, and with log 0 < low and no step")
    return Range(low, high, bool(log), step)
