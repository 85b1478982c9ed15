"""The transforms of numbers to predict: the file's where it writes them, else the base's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

import ftune
from ftune.data.frame import Frame
from ftune.data.schema import Data
from ftune.data.tables import TablePipeline
from ftune.runs.folder import RunFolder
from ftune.schema.root import LANGUAGE

ReadData = Callable[..., Data]


def table(seed: int, shift: float = 0.0, size: int = 80) -> Frame:
    dice = np.random.default_rng(seed)
    y = np.exp(dice.normal(5, 1, size)) + shift
    return Frame({"x": dice.normal(size=size), "y": y}, "t.csv", np.arange(1, size + 1))


OLD, NEW = table(0), table(1, 500.0)


@pytest.fixture
def fitted(read_data: ReadData) -> Callable[..., TablePipeline]:
    def make(frame: Frame, prior: Any = None, **settings: Any) -> TablePipeline:
        plain = {"source": "csv", "path": "t.csv", "target": "y", "transforms": ["standardize"]}
        return TablePipeline.fit(read_data(**(plain | settings)), frame, "numbers", prior)

    return make


Fitted = Callable[..., TablePipeline]


def about_targets(pipeline: TablePipeline) -> list[str]:
    return [note for note in pipeline.notes if "target" in note]


def test_those_of_the_base_stay_where_the_file_writes_none(fitted: Fitted) -> None:
    base = fitted(OLD, target_transforms=["log", "standardize"])
    tuned = fitted(NEW, base)
    assert torch.equal(tuned.target_tensor(NEW), base.target_tensor(NEW))
    assert about_targets(tuned) == [
        "target transforms of the base kept: log, standardize.",
        "target statistics of the base kept: `y`.",
    ]


def test_none_is_none_where_the_file_says_so(fitted: Fitted) -> None:
    base = fitted(OLD, target_transforms=["standardize"])
    tuned = fitted(NEW, base, target_transforms=[])
    assert np.allclose(tuned.target_tensor(NEW)[:, 0], NEW["y"])
    assert about_targets(tuned)[0] == (
        "target transforms are not the base's: none, before standardize, so the base's head starts"
        " in another unit."
    )
    plain = fitted(OLD)
    assert about_targets(fitted(NEW, plain)) == []
    assert about_targets(fitted(NEW, plain, target_transforms=[])) == []


def test_a_chain_of_the_file_is_fitted_after_its_own_past(fitted: Fitted) -> None:
    base = fitted(OLD, target_transforms=["standardize"])
    tuned = fitted(NEW, base, target_transforms=["log", "standardize"])
    expected = StandardScaler().fit_transform(np.log1p(NEW["y"])[:, None])
    assert np.abs(tuned.target_tensor(NEW).double().numpy() - expected).max() < 1e-6
    back = tuned.invert(tuned.target_tensor(NEW).double())
    assert np.allclose(back[:, 0], NEW["y"], rtol=1e-5)
    assert "(here after log, in the base first)" in about_targets(tuned)[-1]


def test_stated_numbers_win(fitted: Fitted) -> None:
    base = fitted(OLD, target_transforms=[{"scale": {"by": 0.5}}])
    tuned = fitted(NEW, base, target_transforms=[{"scale": {"by": 0.01}}])
    assert np.allclose(tuned.target_tensor(NEW)[:, 0], NEW["y"] * 0.01)
    assert "scale {by: 0.01}, before scale {by: 0.5}" in about_targets(tuned)[0]


def test_refit_keeps_the_transforms_and_says_that_the_unit_moves(fitted: Fitted) -> None:
    base = fitted(OLD, target_transforms=["standardize"])
    tuned = fitted(NEW, base, statistics="refit")
    assert np.allclose(tuned.target_tensor(NEW).mean(), 0, atol=1e-6)
    assert about_targets(tuned) == [
        "target transforms of the base kept: standardize.",
        "target statistics fitted on the new rows: `y` (`data.statistics: refit`); the base's head"
        " starts in another unit.",
    ]


def test_another_target_has_statistics_of_its_own(fitted: Fitted) -> None:
    base = fitted(OLD, target_transforms=[{"log": ["y"]}, "standardize"])
    other = NEW.with_columns({"rent": NEW["y"]}).without(["y"])
    tuned = fitted(other, base, target="rent")
    assert np.allclose(tuned.target_tensor(other).mean(), 0, atol=1e-6)
    assert about_targets(tuned) == [
        "target transforms are not the base's: standardize, before log {columns: [y]}, standardize."
    ]


def test_classes_take_over_no_transforms(read_data: ReadData, fitted: Fitted) -> None:
    base = fitted(OLD, target_transforms=["standardize"])
    data = read_data(source="csv", path="t.csv", target="y", transforms=["standardize"])
    names = np.array(["low", "high"] * 40, dtype=object)
    tuned = TablePipeline.fit(data, NEW.with_columns({"y": names}), "classes", base)
    assert tuned.target_steps == () and not about_targets(tuned)


@pytest.mark.parametrize("written", [False, True])
def test_a_finetune_keeps_the_unit_of_its_head(tmp_path: Path, written: bool) -> None:
    """R² before the first step is the base's; with `[]` written it is absurd, and said."""
    dice = np.random.default_rng(0)
    x = dice.normal(size=200)
    y = 5000 + 900 * x + dice.normal(0, 90, 200)
    lines = "\n".join(f"{a},{b}" for a, b in zip(x, y, strict=True))
    (tmp_path / "t.csv").write_text(f"x,y\n{lines}\n")
    plain: dict[str, Any] = {
        "task": "regression",
        "data": {"source": "csv", "path": str(tmp_path / "t.csv"), "target": "y",
                 "transforms": ["standardize"], "target_transforms": ["standardize"]},
        "model": {"name": "sequential", "layers": [{"linear": "out"}]},
        "optimizer": {"name": "adamw", "lr": 0.1},
        "train": {"epochs": 8, "batch_size": 16}, "runtime": {"threads": 1},
    }  # fmt: skip
    first = ftune.run("optimize", plain, out=tmp_path / "base")
    del plain["data"]["target_transforms"]
    if written:
        plain["data"]["target_transforms"] = []
    plain["train"] = {"steps": 1, "batch_size": 16}
    plain["optimizer"]["lr"] = 1e-9
    second = ftune.run("finetune", plain, base=tmp_path / "base", out=tmp_path / "tuned")
    assert first["metrics"]["val"]["r2"] > 0.9
    assert (second["metrics"]["val"]["r2"] > 0.9) != written
    stored = LANGUAGE.load(RunFolder(tmp_path / "tuned").config_file).data.target_transforms
    assert len(stored) == (0 if written else 1)
