"""A finetune starts exactly where its base ended, through transforms, whatever the columns do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.trainings import QUIET, trace
from torch import Tensor

import ftune
from ftune.adapt import transfer as module
from ftune.assembly.build import base_pipeline, build, read_data
from ftune.assembly.parts import Parts
from ftune.engine.evaluate import outputs
from ftune.errors import RequestError
from ftune.runs.base import load_base
from ftune.runs.folder import RunFolder
from ftune.schema.root import LANGUAGE
from ftune.training.reopen import reopen
from ftune.training.run import Run, new_run
from ftune.training.train import train

ROWS = 120
BODY = [{"linear": 8, "as": "body"}, "relu", {"linear": "out"}]


def table(path: Path, columns: list[str]) -> str:
    """A CSV of the same rows, with any of the columns in any order."""
    dice = np.random.default_rng(0)
    known: dict[str, Any] = {
        "age": dice.normal(40, 10, ROWS), "hours": dice.normal(30, 5, ROWS),
        "city": dice.choice(["Ulm", "Bonn", "Kiel"], ROWS), "wage": dice.normal(9, 3, ROWS),
        "team": dice.choice(["red", "blue"], ROWS),
    }  # fmt: skip
    known["label"] = np.where(known["age"] + 2 * known["hours"] > 100, "yes", "no")
    names = [*columns, "label"]
    lines = [",".join(names)] + [",".join(str(known[n][i]) for n in names) for i in range(ROWS)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def plain(path: str, layers: list[Any] | None = None, **extra: Any) -> dict[str, Any]:
    return {
        "task": "classification",
        "data": {
            "source": "csv", "path": path, "target": "label", "split": {"val": 30, "test": 20},
            "transforms": ["standardize", "one_hot"],
        },
        "model": {"name": "sequential", "layers": layers or BODY},
        "train": {"epochs": 3, "batch_size": 16},
        "runtime": {"threads": 1},
    } | extra  # fmt: skip


BASE = ["age", "city", "hours"]


def trained(folder: Path, layers: list[Any] | None = None) -> Path:
    path = table(folder / "base.csv", BASE)
    ftune.run("optimize", plain(path, layers), out=folder / "base")
    return folder / "base"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("base"))


def parts_on(config: dict[str, Any], base: Path) -> Parts:
    found = load_base(base)
    read = LANGUAGE.of(config)
    return build(read, read_data(read, prior=base_pipeline(found)), found)


def begun_on(config: dict[str, Any], base: Path, out: Path) -> Run:
    return new_run("finetune", "", out, LANGUAGE.of(config), parts_on(config, base), QUIET)


def started(config: dict[str, Any], base: Path) -> Tensor:
    """Outputs for the validation rows before the first step."""
    parts = parts_on(config, base)
    assert parts.dataset.val is not None
    return outputs(parts.model, [{"x": parts.dataset.val.x}])


def of_base(base: Path) -> Tensor:
    """The base's outputs for the same rows, as its own pipeline reads them."""
    predictor = ftune.load(base)
    dataset = read_data(predictor.config, fitted=predictor.pipeline)
    assert dataset.val is not None
    return outputs(predictor.built.module, [{"x": dataset.val.x}])


COLUMNS = {
    "same": ["age", "city", "hours"],
    "reordered": ["hours", "age", "city"],
    "extra": ["age", "city", "hours", "wage", "team"],
    "extra in front, reordered": ["team", "wage", "city", "hours", "age"],
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_predictions_before_the_first_step(kind: str, base: Path, tmp_path: Path) -> None:
    config = plain(table(tmp_path / "new.csv", COLUMNS[kind]))
    assert (started(config, base) - of_base(base)).abs().max() <= 1e-6


def test_the_first_validation_loss_is_the_base_s_to_the_bit(tmp_path: Path) -> None:
    """As in configs/features: the same chain, and columns that the base dropped."""
    chain: list[Any] = ["impute", {"quantile": {"quantiles": 50}}, {"one_hot": {"min_count": 2}}]
    config = plain(table(tmp_path / "t.csv", COLUMNS["extra"]))
    config["data"]["transforms"] = [{"drop": ["wage", "team"]}, *chain]
    ftune.run("optimize", config, out=tmp_path / "base")
    best = float(RunFolder(tmp_path / "base").summary_json()["metrics"]["val"]["loss"]).hex()

    def first_loss(name: str, transforms: list[Any]) -> str:
        config["data"]["transforms"] = transforms
        ftune.run("finetune", config, base=tmp_path / "base", out=tmp_path / name)
        lines = trace(tmp_path / name)["metrics"]
        return str(next(line["loss"] for line in lines if line["split"] == "val"))

    assert first_loss("tuned", chain) == best
    chain[1] = {"quantile": {"quantiles": 9}}
    assert first_loss("control", chain) != best


@pytest.mark.parametrize("first", ["batchnorm", "layernorm"])
def test_norms_on_columns_in_another_order(first: str, tmp_path: Path) -> None:
    """A norm in front has statistics per column: they must follow the columns' names."""
    layers = [first, *BODY]
    found = trained(tmp_path, layers)
    config = plain(table(tmp_path / "new.csv", COLUMNS["reordered"]), layers)
    assert (started(config, found) - of_base(found)).abs().max() <= 1e-6


def test_control_without_names_they_differ(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_position(model: Any, axes: Any, head: str, tensors: Any, known: Any) -> Any:
        del axes, known
        return module.transfer(model, {}, head, tensors, {})

    monkeypatch.setattr("ftune.assembly.initial_weights.transfer", by_position)
    names = ["hours", "wage", "city"]  # as many columns, others
    config = plain(table(tmp_path / "new.csv", names))
    assert (started(config, base) - of_base(base)).abs().max() > 1e-3


def test_notes_name_new_and_gone(base: Path, tmp_path: Path) -> None:
    parts = parts_on(plain(table(tmp_path / "new.csv", ["hours", "city", "wage"])), base)
    said = " | ".join(parts.notes)
    assert "wage" in said and "age" in said
    weight = parts.model.get_parameter("body.weight")
    names = list(parts.dataset.pipeline.features.names or ())
    assert not weight[:, names.index("wage")].any()
    assert weight[:, names.index("hours")].any()


def test_new_columns_learn(base: Path, tmp_path: Path) -> None:
    """Zero is where they start, not where they stay."""
    run = begun_on(plain(table(tmp_path / "new.csv", COLUMNS["extra"])), base, tmp_path / "run")
    train(run)
    parts = run.parts
    names = list(parts.dataset.pipeline.features.names or ())
    weight = parts.model.get_parameter("body.weight")
    assert weight[:, names.index("wage")].any() and weight[:, names.index("team=red")].any()


def test_an_interrupted_finetune_equals_an_undisturbed_one(base: Path, tmp_path: Path) -> None:
    adapt = [{"match": "body.*", "from_epoch": 1}]
    config = plain(table(tmp_path / "new.csv", COLUMNS["extra"]), adapt=adapt)
    config["base"] = str(base)
    train(begun_on(config, base, tmp_path / "whole"))
    run = begun_on(config, base, tmp_path / "parts")
    for stop in (4, 8, None):
        run.pause_at = stop
        train(run)
        if stop:
            torch.manual_seed(99)
            run = reopen(RunFolder(tmp_path / "parts"), QUIET)
    assert trace(tmp_path / "whole") == trace(tmp_path / "parts")


def test_unfreezing_happens_at_its_epoch_and_after_a_resume(base: Path, tmp_path: Path) -> None:
    adapt = [{"match": "body.*", "from_epoch": 2}]
    config = plain(table(tmp_path / "new.csv", BASE), adapt=adapt)
    run = begun_on(config, base, tmp_path / "run")
    old, per_epoch = load_base(base).tensors["body.weight"], run.parts.batches.steps_per_epoch
    for stop, moved in ((per_epoch + 1, False), (2 * per_epoch, False), (2 * per_epoch + 1, True)):
        run.pause_at = stop
        train(run)
        assert torch.equal(run.parts.model.get_parameter("body.weight"), old) is not moved
        run = reopen(RunFolder(tmp_path / "run"), QUIET)


def test_killed_before_its_first_checkpoint(base: Path, tmp_path: Path) -> None:
    """The folder is there and nothing is saved: a resume begins anew, from the base."""
    config = plain(table(tmp_path / "new.csv", COLUMNS["extra"]))
    config["base"] = str(base)
    train(begun_on(config, base, tmp_path / "whole"))
    begun_on(config, base, tmp_path / "parts")
    train(reopen(RunFolder(tmp_path / "parts"), QUIET))
    assert trace(tmp_path / "whole") == trace(tmp_path / "parts")


def test_rows_of_an_embedding_follow_their_category_when_codes_change(tmp_path: Path) -> None:
    """Refitted statistics number the categories anew; the learned vectors go with the names."""

    def config(cities: str, **data: object) -> dict[str, object]:
        file = tmp_path / f"{cities}.csv"
        rows = [f"{city},{i % 2}" for i, city in enumerate(cities * 6)]
        file.write_text("\n".join(["city,y", *rows]), encoding="utf-8")
        return {
            "task": "classification",
            "data": {
                "source": "csv", "path": str(file), "target": "y",
                "transforms": ["ordinal"], "split": {"val": 0, "test": 0}, **data,
            },
            "model": {"name": "mlp", "width": 4, "depth": 1, "embed": 3},
            "train": {"steps": 1},
        }  # fmt: skip

    ftune.run("optimize", config("abc"), out=tmp_path / "base")
    base = load_base(tmp_path / "base")
    new = LANGUAGE.of(config("bcd", statistics="refit"))
    parts = build(new, read_data(new, prior=base_pipeline(base)), base)
    (name,) = [n for n in parts.model.state_dict() if "tables" in n]
    old_rows, new_rows = base.tensors[name], parts.model.state_dict()[name]
    assert torch.equal(new_rows[[0, 1, 2]], old_rows[[0, 2, 3]])  # unknown, b, c
    assert not torch.equal(new_rows[1], old_rows[1])  # by position it would be a's


@pytest.mark.parametrize("change", ["train.early_stop=2", "schedule=plateau", "eval.metric=loss"])
def test_what_goes_by_validation_is_refused_without_it(change: str) -> None:
    config = {
        "task": "classification",
        "data": {"source": "sklearn", "name": "iris", "split": {"val": 0, "test": 0.2}},
        "model": "mlp",
        "train": {"steps": 1},
    }
    plain = LANGUAGE.of(config)
    build(plain, read_data(plain))
    blind = LANGUAGE.of(config, [change])
    with pytest.raises(RequestError, match="validation"):
        build(blind, read_data(blind))
