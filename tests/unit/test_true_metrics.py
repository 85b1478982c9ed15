"""Metrics are of the user's own values: scikit-learn on predictions and the file's column.

Whatever `target_transforms` do to the numbers that the model learns.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics as reference
from support.trainings import QUIET, begin, undisturbed

from ftune.assembly.build import read_data
from ftune.commands.evaluate import evaluate
from ftune.commands.predict import predict
from ftune.commands.request import Request
from ftune.commands.resume import resume
from ftune.commands.sweep import continue_sweep, sweep
from ftune.console import Console
from ftune.data.tables import TablePipeline
from ftune.errors import RequestError
from ftune.extend import load_code
from ftune.predictor import Sampling
from ftune.runs.base import load_base
from ftune.runs.files import read_json, write_json
from ftune.runs.folder import RunFolder, read_metrics
from ftune.schema.root import LANGUAGE, RunConfig
from ftune.training.train import train

ROWS = 120
CHAINS: dict[str, list[Any]] = {
    "none": [],
    "standardize": ["standardize"],
    "log": ["log"],
    "scale": [{"scale": {"by": 0.01}}],
    "range": [{"scale": {"range": [-1, 1]}}],
    "clip": [{"clip": 0.05}],
    "clip above": [{"clip": {"high": 150}}],
    "quantile": ["quantile"],
    "uniform": [{"quantile": {"to": "uniform"}}],
    "several": [{"clip": 0.05}, "log", "standardize"],
    "own": ["tens"],
}
LOSE = ("clip", "clip above", "quantile", "uniform", "several", "own")
LINEAR = {"name": "sequential", "layers": [{"linear": "out", "as": "last"}]}
OWN = """
import numpy as np, ftune

@ftune.transform("tens")
class Tens:
    def apply(self, values, state):
        return np.round(values / 400)

    def invert(self, values, state):
        return values * 400
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Amounts that grow with time, 1 in 12 of them far off: `y`, and `z` at a large offset."""
    rng = np.random.default_rng(0)
    t = np.arange(ROWS)
    x = rng.normal(size=ROWS)
    y = 10 * x + 3 * t + np.where(t % 12 == 7, 5.0 * t, 0.0) + rng.normal(size=ROWS)
    z = 1e9 + np.round(50 * x) + t
    lines = [f"{i},{a!r},{b!r},{c!r}" for i, a, b, c in
             zip(t, x.tolist(), y.tolist(), z.tolist(), strict=True)]  # fmt: skip
    (tmp_path / "t.csv").write_text("\n".join(["t,x,y,z", *lines]))
    return tmp_path / "t.csv"


def config(file: Path, chain: list[Any], *changes: str, target: Any = "y") -> RunConfig:
    plain: dict[str, Any] = {
        "task": "regression", "model": LINEAR,
        "data": {"source": "csv", "path": str(file), "target": target,
                 "split": {"time": "t", "val": 24, "test": 24}, "target_transforms": chain},
        "optimizer": {"name": "adamw", "lr": 0.3}, "train": {"steps": 12, "batch_size": 16},
        "eval": {"every": {"steps": 3}}, "runtime": {"threads": 1, "device": "cpu"},
    }  # fmt: skip
    return LANGUAGE.of(plain, changes)


def columns(file: Path) -> dict[str, np.ndarray]:
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def predicted(run: Path, file: Path, target: Path) -> dict[str, np.ndarray]:
    predict(load_base(run), file, target, None, Sampling(), QUIET)
    return columns(target)


def scores(true: np.ndarray, guess: np.ndarray) -> dict[str, float]:
    return {
        "rmse": reference.root_mean_squared_error(true, guess),
        "mae": reference.mean_absolute_error(true, guess),
        "r2": reference.r2_score(true, guess),
    }


def shown(found: dict[str, float]) -> dict[str, float]:
    return {name: found[name] for name in ("rmse", "mae", "r2")}


def of_splits(
    configuration: RunConfig, true: np.ndarray, guess: np.ndarray
) -> dict[str, dict[str, float]]:
    """Scikit-learn on the rows that each split has in the file."""
    parts = read_data(configuration).splits
    rows = {name: part.rows.numpy() - 1 for name, part in parts.items()}
    return {name: scores(true[at], guess[at]) for name, at in rows.items()}


@pytest.fixture
def own(apart: None, tmp_path: Path) -> None:  # noqa: ARG001
    (tmp_path / "own.py").write_text(OWN)
    load_code(tmp_path / "own.py")


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("chain", CHAINS)
def test_every_figure_is_sklearns_of_the_files_column(
    chain: str, file: Path, tmp_path: Path
) -> None:
    configuration = config(file, CHAINS[chain])
    summary = undisturbed(configuration, tmp_path / "run")
    true, guess = columns(file)["y"], predicted(tmp_path / "run", file, tmp_path / "p.csv")["y"]
    for split, expected in of_splits(configuration, true, guess).items():
        assert shown(summary["metrics"][split]) == pytest.approx(expected, rel=1e-6), split
        done = evaluate(load_base(tmp_path / "run"), [], split, QUIET)
        assert shown(done["metrics"][split]) == pytest.approx(expected, rel=1e-6), split
        if split == "val":
            assert summary["best"]["value"] == pytest.approx(expected["rmse"], rel=1e-6)
    done = evaluate(load_base(tmp_path / "run"), [f"data.path={file}"], None, QUIET)
    whole = pytest.approx(scores(true, guess), rel=1e-6)
    assert shown(done["metrics"][str(file)]) == whole == shown(done["details"][0])


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("chain", CHAINS)
def test_a_truth_taken_back_from_its_transforms_would_be_noticed(
    chain: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control, as 0.1 did: wrong wherever a transform lets go of something."""
    with monkeypatch.context() as patch:
        patch.setattr(
            TablePipeline, "raw_targets", lambda self, frame: self.invert(
                self.targets(frame).double()
            )
        )  # fmt: skip
        configuration = config(file, CHAINS[chain])
        summary = undisturbed(configuration, tmp_path / "run")
    true, guess = columns(file)["y"], predicted(tmp_path / "run", file, tmp_path / "p.csv")["y"]
    expected = of_splits(configuration, true, guess)["val"]["rmse"]
    apart = abs(summary["metrics"]["val"]["rmse"] / expected - 1)
    assert apart > 0.01 if chain in LOSE else apart < 1e-4


def test_several_targets_and_large_numbers(file: Path, tmp_path: Path) -> None:
    """z is near 1e9, where float32 has steps of 64."""
    chain = [{"clip": {"high": 30, "columns": ["y"]}}, "standardize"]
    configuration = config(file, chain, target=["y", "z"])
    summary = undisturbed(configuration, tmp_path / "run")
    found = predicted(tmp_path / "run", file, tmp_path / "p.csv")
    true, guess = (np.stack([table[n] for n in ("y", "z")], 1) for table in (columns(file), found))
    for split, expected in of_splits(configuration, true, guess).items():
        assert shown(summary["metrics"][split]) == pytest.approx(expected, rel=1e-6), split
    done = evaluate(load_base(tmp_path / "run"), [f"data.path={file}"], None, QUIET)
    each = reference.r2_score(true, guess, multioutput="raw_values").tolist()
    figures = done["metrics"][str(file)]
    assert [figures[f"r2/{name}"] for name in ("y", "z")] == pytest.approx(each, rel=1e-6)
    for index, row in enumerate(done["details"]):
        expected = scores(true[:, index], guess[:, index])
        assert shown(row) == pytest.approx(expected, rel=1e-6), row["target"]


def test_limit_keeps_rows_and_their_values_together(file: Path, tmp_path: Path) -> None:
    configuration = config(file, [{"clip": 0.05}], "data.limit=20", "data.split={val: 0.2}")
    summary = undisturbed(configuration, tmp_path / "run")
    true, guess = columns(file)["y"], predicted(tmp_path / "run", file, tmp_path / "p.csv")["y"]
    assert len(read_data(configuration).train) == 20
    for split, expected in of_splits(configuration, true, guess).items():
        assert shown(summary["metrics"][split]) == pytest.approx(expected, rel=1e-6), split


WATCHFUL = (
    "train.early_stop={patience: 1}", "schedule={name: plateau, patience: 0, factor: 0.5}",
    "train.steps=60", "optimizer.lr=1.5",
)  # fmt: skip


def test_selection_early_stop_and_plateau_go_by_the_files_values(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rates that plateau chose, when it stopped and what is best follow the true RMSE."""

    def trained(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        summary = undisturbed(config(file, ["quantile"], *WATCHFUL), tmp_path / name)
        lines = read_metrics(tmp_path / name / "metrics.jsonl")
        return summary, [line for line in lines if line["split"] == "val"]

    summary, lines = trained("true")
    values = [line["rmse"] for line in lines]
    assert summary["best"]["value"] == min(values)
    since = len(values) - 1 - int(np.argmin(values))
    assert since == 1 and summary["steps"] < 60, "one evaluation without a better one ends it"
    monkeypatch.setattr(
        TablePipeline, "raw_targets", lambda self, frame: self.invert(self.targets(frame).double())
    )
    wrong, others = trained("recovered")
    assert [line["rmse"] for line in others[:2]] != values[:2]
    assert wrong["best"]["value"] < 0.95 * summary["best"]["value"], "flattering"


def test_a_sweep_ranks_by_the_files_values(file: Path, tmp_path: Path) -> None:
    block = "sweep={scientific: {optimizer.lr: [0.01, 0.3]}}"
    sweep(Request(config(file, [{"clip": 0.05}], block), "", tmp_path / "s", QUIET))
    true = columns(file)["y"]
    for trial in sorted((tmp_path / "s" / "trials").iterdir()):
        guess = predicted(trial, file, tmp_path / "p.csv")["y"]
        expected = of_splits(config(file, [{"clip": 0.05}]), true, guess)["val"]["rmse"]
        value = read_json(trial / "summary.json")["best"]["value"]
        assert value == pytest.approx(expected, rel=1e-6)


def as_of_0_1(folder: Path) -> None:
    """What a run of 0.1 noted, which is the same without the raw targets."""
    facts = read_json(folder / "run.json")
    del facts["raw_targets"]
    write_json(folder / "run.json", facts)


@pytest.mark.parametrize(("chain", "said"), [("standardize", False), ("clip", True)])
def test_a_run_of_0_1_goes_on_or_says_what_is_judged_otherwise(
    chain: str, said: bool, file: Path, tmp_path: Path
) -> None:
    run = begin(config(file, CHAINS[chain]), tmp_path / "run", pause_at=6)
    train(run)
    as_of_0_1(tmp_path / "run")
    if said:
        with pytest.raises(RequestError, match=r"cannot continue exactly(?s:.*)the file's own val"):
            resume(RunFolder(tmp_path / "run"), False, QUIET)
    assert resume(RunFolder(tmp_path / "run"), said, QUIET)["steps"] == 12


def test_a_sweep_of_0_1_says_what_is_judged_otherwise(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    block = "sweep={scientific: {optimizer.lr: [0.01, 0.3]}}"
    sweep(Request(config(file, [{"clip": 0.05}], block), "", tmp_path / "s", QUIET))
    continue_sweep(RunFolder(tmp_path / "s"), Console())
    assert "own values" not in capsys.readouterr().err
    as_of_0_1(tmp_path / "s")
    continue_sweep(RunFolder(tmp_path / "s"), Console())
    assert "the trials that have ended" in capsys.readouterr().err


def test_values_that_clip_hides_are_data_that_has_changed(file: Path, tmp_path: Path) -> None:
    """No number that the model sees is another; the metrics are."""
    chain = [{"clip": {"high": 30}}]
    train(begin(config(file, chain), tmp_path / "run", pause_at=6))
    lines = file.read_text().splitlines()
    hidden = next(i for i, line in enumerate(lines[1:], 1) if float(line.split(",")[2]) > 100)
    t, x, _, z = lines[hidden].split(",")
    lines[hidden] = f"{t},{x},9999.0,{z}"
    file.write_text("\n".join(lines))
    with pytest.raises(RequestError, match="the data has changed"):
        resume(RunFolder(tmp_path / "run"), False, QUIET)


def picture(level: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_images_that_are_mixed_in_training(mix: str, tmp_path: Path) -> None:
    """Training rows have mixed targets; the figures are of images and values as they are."""
    values = [float(i**2) for i in range(24)]
    for i in range(24):
        (tmp_path / f"{i}.png").write_bytes(picture(10 * i))
    table = tmp_path / "t.csv"
    rows = [f"{i}.png,{value}" for i, value in enumerate(values)]
    table.write_text("\n".join(["file,y", *rows]))
    plain: dict[str, Any] = {
        "task": "regression",
        "model": {"name": "sequential", "layers": ["flatten", {"linear": "out", "as": "last"}]},
        "data": {"source": "csv", "path": str(table), "image": "file", "target": "y",
                 "cache": False, "transforms": ["normalize", mix],
                 "target_transforms": [{"clip": {"high": 200}}, "standardize"],
                 "split": {"val": 4, "test": 4}},
        "optimizer": {"name": "adamw", "lr": 0.01}, "train": {"steps": 6, "batch_size": 8},
        "eval": {"train": True}, "runtime": {"threads": 1, "device": "cpu"},
    }  # fmt: skip
    configuration = LANGUAGE.of(plain)
    summary = undisturbed(configuration, tmp_path / "run")
    predict(load_base(tmp_path / "run"), table, tmp_path / "p.jsonl", None, Sampling(), QUIET)
    lines = (tmp_path / "p.jsonl").read_text().splitlines()
    guess = np.array([json.loads(line)["y"] for line in lines])
    for split, expected in of_splits(configuration, np.array(values), guess).items():
        assert shown(summary["metrics"][split]) == pytest.approx(expected, rel=1e-5), split


def test_texts_of_numbers(tmp_path: Path) -> None:
    words = ("low", "high", "middle", "none at all", "far")
    values = [float(7 * (i % 5) ** 3) for i in range(30)]
    lines = [json.dumps({"text": words[i % 5], "y": value}) for i, value in enumerate(values)]
    table = tmp_path / "t.jsonl"
    table.write_text("\n".join(lines))
    plain: dict[str, Any] = {
        "task": "regression",
        "model": {"name": "sequential",
                  "layers": [{"embedding": 8}, "globalpool", {"linear": "out", "as": "last"}]},
        "data": {"source": "jsonl", "path": str(table), "text": "text", "target": "y",
                 "cache": False, "transforms": [{"tokenize": {"tokenizer": "characters"}}],
                 "target_transforms": [{"clip": {"high": 50}}], "split": {"val": 6, "test": 6}},
        "optimizer": {"name": "adamw", "lr": 0.01}, "train": {"steps": 6, "batch_size": 8},
        "eval": {"train": True}, "runtime": {"threads": 1, "device": "cpu"},
    }  # fmt: skip
    configuration = LANGUAGE.of(plain)
    summary = undisturbed(configuration, tmp_path / "run")
    guess = predicted(tmp_path / "run", table, tmp_path / "p.csv")["y"]
    for split, expected in of_splits(configuration, np.array(values), guess).items():
        assert shown(summary["metrics"][split]) == pytest.approx(expected, rel=1e-5), split


def test_raw_targets_are_of_numbers_alone(file: Path) -> None:
    data = read_data(config(file, ["log"]))
    assert data.val is not None and data.val.raw is not None and data.train.y is not None
    assert data.val.raw.dtype == torch.float64 and data.train.y.dtype == torch.float32
    assert data.val.raw[:, 0].tolist() == columns(file)["y"][data.val.rows.numpy() - 1].tolist()
    labels = LANGUAGE.of(
        {"task": "classification", "model": LINEAR, "data": {"source": "sklearn"},
         "optimizer": {"name": "adamw", "lr": 0.1}}
    )  # fmt: skip
    assert all(part.raw is None for part in read_data(labels).splits.values())
