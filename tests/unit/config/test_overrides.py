"""`key=value` and `~key`: order, names of variants, positions in lists."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from ftune.config.overrides import apply
from ftune.config.tree import parse
from ftune.errors import ConfigError, RequestError
from ftune.schema.root import LANGUAGE, RunConfig

TEXT = """
optimizer: {name: adamw, lr: 1e-3, betas: [0.9, 0.99]}
model: {layers: [{linear: 5}, relu, {linear: out}]}
schedule: cosine
"""


def after(*changes: str) -> dict[str, Any]:
    root = parse(TEXT, "f")
    apply(root, changes, RunConfig)
    found: dict[str, Any] = root.plain()
    return found


def test_values_are_set_opened_and_deleted() -> None:
    assert after("optimizer.lr=2")["optimizer"]["lr"] == 2
    assert after("train.early_stop.patience=3")["train"] == {"early_stop": {"patience": 3}}
    assert after("schedule.warmup=0.1")["schedule"] == {"name": "cosine", "warmup": 0.1}
    assert after("schedule.name=linear")["schedule"] == {"name": "linear"}
    assert "schedule" not in after("~schedule")
    assert "lr" not in after("~optimizer.lr")["optimizer"]
    assert after("a.b=c=d")["a"] == {"b": "c=d"}


def test_positions_in_lists() -> None:
    layers = after("model.layers.0.linear=7", "model.layers.1=gelu")["model"]["layers"]
    assert layers == [{"linear": 7}, "gelu", {"linear": "out"}]
    assert after("~model.layers.1")["model"]["layers"] == [{"linear": 5}, {"linear": "out"}]
    assert after("optimizer.betas.1=0.5")["optimizer"]["betas"] == [0.9, 0.5]


def test_another_name_drops_the_blocks_settings_and_the_same_name_does_not() -> None:
    assert after("optimizer.name=sgd")["optimizer"] == {"name": "sgd"}
    assert after("optimizer.name=adamw")["optimizer"]["lr"] == 1e-3
    assert after("optimizer.name=sgd", "optimizer.lr=3")["optimizer"] == {"name": "sgd", "lr": 3}


def test_the_order_in_which_they_are_typed_does_not_matter() -> None:
    changes = ["optimizer.name=sgd", "optimizer.momentum=0.9", "train={epochs: 2}", "train.steps=5"]
    results = [after(*order) for order in itertools.permutations(changes)]
    assert results[0]["optimizer"] == {"name": "sgd", "momentum": 0.9}
    assert results[0]["train"] == {"epochs": 2, "steps": 5}
    assert all(result == results[0] for result in results)


def test_a_column_or_an_adapter_called_name_is_no_variant() -> None:
    """`data.types.name` and the `name` of a data set keep what stands beside them."""
    text = """
data: {source: sklearn, name: iris, types: {a: text, name: number}}
adapt: [{match: x, lora: {name: a, rank: 4}}]
train: {objective: {name: old, beta: 1}}
"""
    changes = ["data.types.name=text", "data.types.b=text", "data.name=wine"]
    root = parse(text, "f")
    apply(root, [*changes, "adapt.0.lora.name=b", "train.objective.name=new"], RunConfig)
    assert root.plain() == {
        "data": {"source": "sklearn", "name": "wine",
                 "types": {"a": "text", "name": "text", "b": "text"}},
        "adapt": [{"match": "x", "lora": {"name": "b", "rank": 4}}],
        "train": {"objective": {"name": "new"}},
    }  # fmt: skip
    whole = after("data.types.name=text", "data.types={a: number}")  # the whole comes first
    assert whole["data"]["types"] == {"a": "number", "name": "text"}


@pytest.mark.parametrize(
    "change",
    [
        *("~nothing", "~optimizer.nothing", "~a.b", "~model.layers.9"),
        *("model.layers.3=relu", "model.layers.x=relu", "model.layers.-1=relu"),
    ],
)
def test_what_cannot_be_reached_is_named(change: str) -> None:
    with pytest.raises(ConfigError) as raised:
        after(change)
    (problem,) = raised.value.problems
    assert problem.where == f"command line `{change}`"


@pytest.mark.parametrize("change", ["nonsense", "=1", ""])
def test_what_is_no_override_is_refused(change: str) -> None:
    with pytest.raises(RequestError, match="neither a file nor an override"):
        after(change)


def test_a_template_that_yaml_takes_for_a_mapping_names_its_quotes() -> None:
    plain = {"task": "causal-lm", "data": {"source": "jsonl", "path": "t.jsonl"}}
    with pytest.raises(ConfigError) as caught:
        LANGUAGE.of(plain, ["data.response={output}"])
    assert """'data.response="{output}"'""" in str(caught.value)
    for odd in ("data.response={output: 3}", "data.target={output}"):  # no template, or a list too
        with pytest.raises(ConfigError) as caught:
            LANGUAGE.of(plain, [odd])
        assert "quote it" not in str(caught.value)
    assert after('data.response="{output}"')["data"] == {"response": "{output}"}
