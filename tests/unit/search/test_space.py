"""The settings that a sweep varies."""

from __future__ import annotations

from typing import Any

import pytest
from support.sweeps import PLAIN

from ftune.config.dump import dump
from ftune.errors import ConfigError, RequestError
from ftune.schema.root import LANGUAGE
from ftune.schema.search import Sweep
from ftune.search.space import (
    Choices,
    Range,
    check_space,
    configured,
    grid,
    grid_points,
    parse_space,
)
from ftune.search.sweep import choose_sampler, trial_count


def space_of(**axes: Any) -> dict[str, Any]:
    return parse_space(Sweep(scientific={key.replace("__", "."): v for key, v in axes.items()}))


def plain() -> dict[str, Any]:
    return dump(LANGUAGE.of(PLAIN))


def test_axes() -> None:
    found = parse_space(
        Sweep(
            scientific={"model.depth": [1, 2, 3]},
            nuisance={"optimizer.lr": {"low": 1e-4, "high": 0.1, "log": True}},
        )
    )
    assert found == {
        "model.depth": Choices((1, 2, 3)),
        "optimizer.lr": Range(1e-4, 0.1, log=True),
    }


@pytest.mark.parametrize(
    "value",
    [
        [], 3, "a", {"low": 1}, {"low": 2, "high": 1}, {"low": 1, "high": 1},
        {"low": "a", "high": 2}, {"low": True, "high": 2}, {"low": 0, "high": 1, "log": True},
        {"low": 1, "high": 2, "lag": 3},
        {"low": 1, "high": 9, "log": True, "step": 2}, {"low": 1, "high": 9, "step": "x"},
    ],
)  # fmt: skip
def test_what_is_no_axis(value: Any) -> None:
    with pytest.raises(RequestError, match=r"sweep: train\.epochs"):
        space_of(train__epochs=value)


def test_grid_first_axis_slowest() -> None:
    found = grid(space_of(a__x=[1, 2], b=["p", "q"]))
    assert found == [{"a.x": i, "b": j} for i in (1, 2) for j in ("p", "q")]


def test_a_part_of_the_grid_is_drawn_without_repetition() -> None:
    space = space_of(a=list(range(8)), b=list(range(8)))
    assert grid_points(space, 64, 0) == grid(space)
    part = grid_points(space, 20, 0)
    assert len({tuple(p.values()) for p in part}) == 20
    assert part == grid_points(space, 20, 0) != grid_points(space, 20, 1)


@pytest.mark.parametrize(
    ("value", "side"), [(1e-4, "lowest"), (1.1e-4, "lowest"), (3e-3, None), (0.099, "highest")]
)
def test_edges(value: float, side: str | None) -> None:
    assert Range(1e-4, 0.1, log=True).edge(value) == side


@pytest.mark.parametrize(
    ("key", "values", "said"),
    [
        ("optimizer.lr", [0.1, -1.0], "lr"),
        ("optimizer.nonsense", [1, 2], "nonsense"),
        ("train.batch_size", [8, "many"], "batch_size"),
        ("optimizer.name", ["sgd", "adamm"], "adamm"),
        ("schedule", ["cosine", {"name": "linear", "warmpu": 1}], "warmpu"),
    ],
)
def test_a_bad_value_is_found_before_training(key: str, values: list[Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_space(plain(), {key: Choices(tuple(values))})


def test_good_values_pass_and_arrive() -> None:
    space = {"schedule": Choices(("cosine", {"name": "linear", "warmup": 0.5}))}
    check_space(plain(), space)
    config = configured(plain(), {"schedule": {"name": "linear", "warmup": 0.5}})
    assert config.schedule.warmup.fraction == 0.5


def test_samplers_and_counts() -> None:
    lists = {"a": [1, 2, 3], "b": [1, 2]}
    mixed = {"a": [1, 2], "b": {"low": 0.1, "high": 1}}
    assert choose_sampler(Sweep(scientific=lists)) == "grid"
    assert choose_sampler(Sweep(scientific=lists, trials=4)) == "grid"
    assert choose_sampler(Sweep(scientific=mixed)) == "qmc"
    assert choose_sampler(Sweep(scientific=mixed, sampler="tpe")) == "tpe"
    assert [trial_count(Sweep(scientific=lists, trials=n)) for n in (None, 4, 99)] == [6, 4, 6]
    assert [trial_count(Sweep(scientific=mixed, trials=n)) for n in (None, 4)] == [20, 4]
    with pytest.raises(RequestError, match="a grid is of lists"):
        choose_sampler(Sweep(scientific=mixed, sampler="grid"))
