"""Runs of version 0.1 open, predict, evaluate, go on and are fine-tuned from, as they did then."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.sandbox import command

OLDER = Path(__file__).parent / "fixtures/0.1"
MADE_IN = "/srv/ftune-0.1"
EVALUATED: dict[str, dict[str, float]] = json.loads((OLDER / "evaluated.json").read_text())
INPUTS = dict.fromkeys(("table", "regression"), "table.csv") | {
    "auto": "dated.csv", "images": "pictures",
    "texts": "texts.csv", "lora": "texts.csv", "quantized": "texts.csv",
}  # fmt: skip
PREDICTED = ("table", "regression", "auto", "images", "texts")


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A copy of the runs and their data, which stands where it was not made."""
    folder = tmp_path / "older"
    shutil.copytree(OLDER, folder)
    for file in folder.rglob("config.yaml"):
        file.write_text(file.read_text("utf-8").replace(MADE_IN, str(folder)), encoding="utf-8")
    return folder


def summary_of(*words: str | Path) -> dict[str, Any]:
    answer = command(*words, "--quiet", "--json")
    assert answer.code == 0, answer
    summary: dict[str, Any] = json.loads(answer.text.strip().splitlines()[-1])
    return summary


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def unlike(file: Path, other: Path) -> list[str]:
    """The cells that differ by more than rounding."""
    cells = zip(rows_of(file), rows_of(other), strict=True)
    pairs = [(key, a[key], b.get(key, "")) for a, b in cells for key in a]
    return [f"{key}: {a} {b}" for key, a, b in pairs if a != b and not _near(a, b)]


def _near(a: str, b: str) -> bool:
    try:
        return float(a) == pytest.approx(float(b), rel=1e-4, abs=1e-6)
    except ValueError:
        return False


@pytest.mark.parametrize("name", PREDICTED)
def test_predicts_the_same(name: str, older: Path, tmp_path: Path) -> None:
    output = tmp_path / "new.csv"
    summary_of("predict", older / name, "--input", older / INPUTS[name], "--output", output)
    assert unlike(older / f"{name}-predicted.csv", output) == []
    text = output.read_text("utf-8").splitlines()
    last = text[-1].replace("0.", "0.5") if name != "regression" else f"1{text[-1]}"
    output.write_text("\n".join([*text[:-1], last]), encoding="utf-8")
    assert unlike(older / f"{name}-predicted.csv", output), "control: another number is noticed"


@pytest.mark.parametrize("name", INPUTS)
def test_measures_the_same(name: str, older: Path) -> None:
    summary = summary_of("evaluate", older / name, f"data.path={older / INPUTS[name]}")
    (metrics,) = summary["metrics"].values()
    known = {key: metrics[key] for key in EVALUATED[name]}
    assert known == pytest.approx(EVALUATED[name], rel=1e-4)


@pytest.mark.parametrize("name", INPUTS)
def test_is_fine_tuned_from(name: str, older: Path, tmp_path: Path) -> None:
    """The base's own configuration; before the first step it is the base."""
    data = f"data.path={older / INPUTS[name]}"
    summary = summary_of(
        "finetune", "--base", older / name, data, "train.steps=1", "optimizer.lr=1e-9",
        "--out", tmp_path / "run",
    )  # fmt: skip
    before = json.loads((older / name / "summary.json").read_text())["metrics"]["val"]["loss"]
    assert summary["metrics"]["val"]["loss"] == pytest.approx(before, rel=1e-3)


def test_the_auto_of_then_keeps_its_statistics_to_the_bit(older: Path, tmp_path: Path) -> None:
    """On other rows, of which a refit makes something else."""
    header, *rows = (older / "dated.csv").read_text("utf-8").splitlines()
    (older / "dated.csv").write_text("\n".join([header, *rows[:35]]) + "\n", encoding="utf-8")

    def tuned(name: str, *changes: str) -> Any:
        data = f"data.path={older / 'dated.csv'}"
        words: list[str | Path] = ["--base", older / "auto", data, "train.steps=1", *changes]
        summary_of("finetune", *words, "--out", tmp_path / name)
        return steps_of(tmp_path / name)

    then = steps_of(older / "auto")
    assert tuned("kept") == then and len(then) == 4
    assert tuned("stated", "data.transforms=auto") == then
    control = tuned("refit", "data.statistics=refit")
    assert control[2]["transform"] == "standardize" and control != then


def steps_of(run: Path) -> Any:
    """The transforms and statistics in the latest checkpoint."""
    (*_, state) = sorted((run / "checkpoints").glob("step-*/state.json"))
    return json.loads(state.read_text("utf-8"))["pipeline"]["steps"]


@pytest.mark.parametrize("name", ["interrupted", "interrupted-sweep"])
def test_goes_on_as_if_nothing_had_been(name: str, older: Path) -> None:
    whole = json.loads((older / f"{name}-whole.json").read_text())
    summary = summary_of("resume", older / name)
    if name == "interrupted":
        assert summary["steps"] == whole["steps"]
        assert summary["metrics"]["val"] == pytest.approx(whole["metrics"]["val"], rel=1e-4)
    else:
        values = [trial["value"] for trial in whole["trials"]]
        assert [trial["value"] for trial in summary["trials"]] == pytest.approx(values, rel=1e-4)


def test_is_listed_and_compared(older: Path) -> None:
    answer = command("runs", older)
    assert answer.code == 0 and "interrupted-sweep" in answer.text, answer
    answer = command("compare", older / "table", older / "regression")
    assert answer.code == 0 and "regression" in answer.text, answer
    best = command("check", older / "sweep/best.yaml")
    assert best.code == 0, best
