"""A block without a name: the default variant, or a refusal that names the key to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ftune.config.document import json_schema
from ftune.errors import ConfigError
from ftune.optim.adam import AdamW
from ftune.optim.decays import Cosine
from ftune.schema.root import LANGUAGE, RunConfig

FILE: dict[str, Any] = {
    "task": "regression",
    "data": {"source": "csv", "path": "a.csv", "target": "y"},
    "model": {"name": "mlp", "hidden": [8]},
}


def load(tmp_path: Path, **blocks: Any) -> RunConfig:
    file = tmp_path / "a.yaml"
    file.write_text(yaml.safe_dump(FILE | blocks), encoding="utf-8")
    return LANGUAGE.load(file)


def test_settings_alone_are_those_of_the_default_variant(tmp_path: Path) -> None:
    config = load(tmp_path, optimizer={"lr": 0.25}, schedule={"final": 0.5})
    assert isinstance(config.optimizer, AdamW)
    assert isinstance(config.schedule, Cosine)
    assert (config.optimizer.lr, config.schedule.final) == (0.25, 0.5)


@pytest.mark.parametrize("key", ["type", "kind", "class_path", "_target_"])
def test_another_tools_key_for_the_name_is_answered_with_ours(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, optimizer={key: "sgd", "lr": 0.1})
    (problem,) = error.value.problems
    assert (problem.key, problem.hint) == (f"optimizer.{key}", "write `name: sgd`")


def test_settings_of_another_variant_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="momentum"):
        load(tmp_path, optimizer={"lr": 0.1, "momentum": 0.9})


def test_a_block_without_a_default_asks_for_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, model={"hidden": [8]})
    assert error.value.problems[0].key == "model.name"


def test_the_json_schema_asks_for_a_name_only_where_there_is_no_default() -> None:
    schema = json_schema(RunConfig)
    jsonschema.validate(FILE | {"optimizer": {"lr": 0.1}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(FILE | {"model": {"hidden": [8]}}, schema)
