"""Every variant of every table: declared, documented, read, dumped and read again alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ftune.adapt.schema import Rule
from ftune.config.dump import dump, to_yaml
from ftune.config.explain import Explainer
from ftune.config.fields import settings_of
from ftune.config.read import Reader
from ftune.config.tree import parse
from ftune.data import SOURCES, TRANSFORMS
from ftune.models import LAYERS, MODELS
from ftune.optim import OPTIMIZERS, SCHEDULES
from ftune.registry import Table
from ftune.schema.root import LANGUAGE, RunConfig
from ftune.tasks import TASKS

TABLES = [SOURCES, TRANSFORMS, LAYERS, MODELS, OPTIMIZERS, SCHEDULES, TASKS]
VARIANTS = [(table, name) for table in TABLES for name in table]
NAMES = [f"{table.block}-{name}" for table, name in VARIANTS]

# What a variant needs where its defaults are not enough.
NEEDS: dict[str, dict[str, Any]] = {
    "path": {"path": "a.csv"}, "columns": {"columns": ["a"]}, "names": {"names": {"a": "b"}},
    "size": {"size": 8}, "channels": {"channels": 4}, "shape": {"shape": [2, -1]},
    "times": {"times": 2}, "degrees": {"degrees": 9}, "heads": {"heads": 2},
    "model": {"model": "resnet18"}, "augmentation": {"augmentation": "RandomGamma"},
}  # fmt: skip
MORE: dict[str, dict[str, Any]] = {
    "clip": {"quantile": 0.1}, "scale": {"by": 2.0}, "sequential": {"layers": [{"linear": "out"}]},
    "repeat": {"layers": [{"linear": 3}, "relu"]}, "residual": {"layers": ["relu"]},
    "step": {"every": 2}, "rename": {"names": {"old": "new"}}, "random_crop": {"padding": 2},
    "affine": {"scale": [0.9, 1.1]}, "color_jitter": {"hue": 0.1},
}  # fmt: skip
KINDS = {"table": {}, "text": {"text": "words"}, "images": {"image": "file"}}
TEXTS: dict[str, dict[str, Any]] = {
    "causal-lm": {"prompt": "{q}", "response": "{a}"},
    "token-classification": {"text": "words", "target": "tags"},
}


def minimal(table: Table, name: str) -> dict[str, Any]:
    """The least that a variant accepts."""
    found: dict[str, Any] = {}
    for setting in settings_of(table[name]).values():
        if setting.required:
            found |= NEEDS[setting.name]
    return found | (MORE.get(name, {}) if table is not SCHEDULES or name == "step" else {})


def config_with(table: Table, name: str) -> dict[str, Any]:
    """A whole configuration that uses one variant."""
    plain: dict[str, Any] = {
        "task": "classification",
        "data": {"source": "csv", "path": "t.csv", "target": "y"},
        "model": "mlp",
    }
    settings = minimal(table, name)
    if table is SOURCES:
        plain["data"] = {"source": name, "target": "y", **settings}
    elif table is TRANSFORMS:
        item: dict[str, Any] = (
            {name: settings.pop("names")} if name == "rename" else {name: settings}
        )
        (kind,) = getattr(table[name], "kinds", ("table",))[:1]
        plain["data"] |= {**KINDS[kind], "transforms": [item]}
    elif table is LAYERS:
        plain["model"] = {"name": "sequential", "layers": [{name: settings}, {"linear": "out"}]}
    else:
        key = {id(MODELS): "model", id(OPTIMIZERS): "optimizer", id(SCHEDULES): "schedule",
               id(TASKS): "task"}[id(table)]  # fmt: skip
        plain[key] = {"name": name, **settings}
        if name in TEXTS:
            plain["data"] = {"source": "jsonl", "path": "t.jsonl", **TEXTS[name]}
    return plain


@pytest.mark.parametrize(("table", "name"), VARIANTS, ids=NAMES)
def test_read_dumped_and_read_again_is_the_same(table: Table, name: str, tmp_path: Path) -> None:
    config = LANGUAGE.of(config_with(table, name))
    text = to_yaml(dump(config))
    (tmp_path / "again.yaml").write_text(text, encoding="utf-8")
    again = LANGUAGE.load(tmp_path / "again.yaml")
    assert again == config
    assert to_yaml(dump(again)) == text
    assert parse(text, "f").plain() == dump(config)


@pytest.mark.parametrize(("table", "name"), VARIANTS, ids=NAMES)
def test_each_documents_itself_and_its_settings(table: Table, name: str) -> None:
    schema = table[name]
    assert schema.__doc__
    assert not schema.__doc__.startswith(f"{schema.__name__}(")
    assert table.name_of(schema) == name
    for setting in settings_of(schema).values():
        assert setting.doc.strip(), f"{name}.{setting.name}"
        assert setting.doc.strip()[-1] in ".)…", f"{name}.{setting.name}: {setting.doc}"


def test_a_variant_that_forgets_a_value_would_be_found() -> None:
    """The control of the round trip: a dump without one setting reads as something else."""
    config = LANGUAGE.of(
        {**config_with(OPTIMIZERS, "sgd"), "optimizer": {"name": "sgd", "lr": 0.3}}
    )
    plain = dump(config)
    del plain["optimizer"]["lr"]
    assert LANGUAGE.of(plain) != config


def test_three_ways_to_write_an_item() -> None:
    def layers(*items: Any) -> Any:
        model = {"name": "sequential", "layers": [*items, {"linear": "out"}]}
        return LANGUAGE.of({**config_with(MODELS, "mlp"), "model": model}).model.layers[:-1]

    assert layers({"linear": 5}) == layers({"linear": {"size": 5}})
    assert layers({"linear": {"size": 5, "as": "x"}}) == layers({"linear": 5, "as": "x"})
    assert layers("relu") == layers({"relu": None}) == layers({"relu": {}})


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "1e999"])
def test_numbers_are_finite(value: str) -> None:
    node = parse(f"{{match: x, lr_scale: {value}}}", "f")
    reader = Reader(Explainer(RunConfig, {}, {}), {})
    reader.schema(node, Rule, "adapt.0")
    assert [p.key for p in reader.problems] == ["adapt.0.lr_scale"]
