"""The JSON schema and the meaning of a key."""

from __future__ import annotations

import json
import re

import pytest

from ftune.config.document import brief, explain, find, json_schema
from ftune.config.explain import Explainer
from ftune.config.tree import Mark
from ftune.schema.root import RunConfig


def test_the_schema_is_json_and_names_every_root_key() -> None:
    schema = json_schema(RunConfig)
    assert json.loads(json.dumps(schema)) == schema
    assert set(schema["properties"]) == {
        *("seed", "task", "data", "model", "base", "adapt", "optimizer", "schedule", "train"),
        *("eval", "lr_find", "sweep", "runtime", "output", "extends"),
    }
    assert schema["required"] == ["task", "data"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["seed"]["minimum"] == 0
    precision = schema["properties"]["train"]["anyOf"][0]["properties"]["precision"]
    assert precision["enum"] == ["auto", "fp32", "bf16", "fp16"]


def test_a_key_is_found_by_its_path_or_its_last_part() -> None:
    (found,) = find(RunConfig, "train.epochs")
    assert found[0] == "train.epochs"
    assert explain(found[1]) == "Passes over the training split (a number above 0; default 20)"
    assert any("(sgd)" in path for path, _ in find(RunConfig, "optimizer.momentum"))
    assert find(RunConfig, "label_smoothing")
    assert find(RunConfig, "nothing") == []


def test_what_is_said_of_a_key_on_one_line() -> None:
    (_, split), *_ = find(RunConfig, "data.transforms")
    assert brief(split, 80) == "What happens to the inputs, in order"
    assert brief(split, 20) == "What happens to …"


def test_defaults_are_written_as_in_a_file() -> None:
    for key in ("train", "eval", "runtime"):
        (_, setting), *_ = find(RunConfig, key)
        said = explain(setting).partition("; default ")[2]
        assert not re.search(r"\(\w+=|None|True|False|\[\]", said)
    assert "checkpoint_every {minutes 1}" in explain(find(RunConfig, "train")[0][1])


@pytest.mark.parametrize(
    ("path", "key", "accepted", "kind", "hint"),
    [
        ("train", "epoch", ["epochs"], "typo", "did you mean `epochs`?"),
        ("", "lr", ["seed"], "misplaced", "`optimizer.lr`"),
        ("", "learning_rate", ["seed"], "renamed", "`optimizer.lr`"),
        ("", "track", ["train"], "later", "soon"),
        ("adapt.3", "lora", ["match"], "later", "adapters"),
        ("", "colour", ["seed"], "unknown", "accepted: seed"),
    ],
)
def test_reason_classes(path: str, key: str, accepted: list[str], kind: str, hint: str) -> None:
    reserved = {"track": "soon", "adapt.lora": "adapters"}
    explainer = Explainer(RunConfig, {"learning_rate": "optimizer.lr"}, reserved)
    problem = explainer.unknown(Mark("f", 2, 3), path, key, accepted)
    assert (problem.where, problem.kind) == ("f:2:3", kind)
    assert hint in problem.hint
