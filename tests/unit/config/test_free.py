"""Settings that make no other training: declared on their field, and no other."""

from __future__ import annotations

from typing import Any

import pytest

from ftune.config.fields import settings_with
from ftune.config.free import free_settings
from ftune.schema.root import LANGUAGE, RunConfig

ALWAYS = {
    "base", "lr_find", "output", "sweep", "data.cache", "eval.train", "train.checkpoint_every",
    "train.keep", "train.keep_best", "train.log_every", "runtime.device", "runtime.env",
    "runtime.threads", "runtime.price", "train.activation_checkpointing",
}  # fmt: skip


def free(**blocks: Any) -> set[str]:
    plain = {
        "task": "classification", "data": {"source": "sklearn", "name": "iris"}, "model": "mlp",
        "adapt": [{"match": "*", "train": True}],
    }  # fmt: skip
    return set(free_settings(LANGUAGE.of(plain | blocks, [])))


def test_where_data_lie_is_free_and_what_they_are_is_not() -> None:
    table = {"source": "csv", "path": "a.csv", "target": "y", "skip": 2, "decimal": ","}
    assert free() == ALWAYS
    assert free(data=table) == ALWAYS | {"data.path", "data.skip"}
    assert free(data={"source": "images", "path": "a"}) == ALWAYS | {"data.path"}


def test_where_a_model_lies_is_free() -> None:
    texts = {"source": "text", "path": "a.txt"}
    assert free(task="causal-lm", data=texts, model={"name": "hf", "path": "llama"}) == ALWAYS | {
        "data.path", "model.path", "model.hub",
    }  # fmt: skip


@pytest.mark.parametrize("key", ["seed", "task", "optimizer", "train", "eval", "data", "model"])
def test_control_what_moves_numbers_is_not_free(key: str) -> None:
    assert key not in free()


def test_a_group_stands_for_its_settings() -> None:
    assert not {name for name in free() if name.startswith(("sweep.", "train.checkpoint_every."))}


def test_facts_stand_on_the_fields_that_they_are_of() -> None:
    assert settings_with(RunConfig, "length") == (
        "train.epochs", "train.steps", "train.minutes", "train.early_stop"
    )  # fmt: skip
    assert settings_with(RunConfig, "cost") == ("data.cache", "eval.batch_size", "runtime.")
    assert {"data.decimal", "data.delimiter"} <= set(settings_with(RunConfig, "layout"))
    assert set(settings_with(RunConfig, "trial")) == {
        "base", "data.path", "model.hub", "model.path", "runtime.device", "runtime.threads"
    }  # fmt: skip
    assert settings_with(RunConfig, "absent") == ()
