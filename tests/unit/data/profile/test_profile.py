"""What is said of each column, and which column alone gives the target away."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.trainings import undisturbed

from ftune.console import Console
from ftune.data.frame import Frame
from ftune.data.profile.columns import column_of
from ftune.data.profile.profile import Profile, profile, show
from ftune.schema.root import LANGUAGE

SHARED = Path(__file__).resolve().parents[5] / "shared" / "data"
SKLEARN = ("iris", "wine", "breast_cancer", "digits", "diabetes")
NUMBERS = {"diabetes": "regression", "housing": "regression"}


def frame_of(**columns: Any) -> Frame:
    arrays = {
        name: np.array(values, dtype=object) if isinstance(values[0], str) else np.array(values)
        for name, values in columns.items()
    }
    return Frame(arrays, "t", np.arange(1, len(next(iter(arrays.values()))) + 1))


def real(name: str) -> tuple[Frame, Any]:
    """A data set and the configuration that reads it."""
    data: dict[str, Any] = {"source": "sklearn", "name": name}
    if name in ("adult", "housing"):
        file = SHARED / f"{name}.csv"
        if not file.exists():
            pytest.skip(f"{name}.csv is not beside the project")
        target = {"adult": "income", "housing": "median_house_value"}[name]
        data = {"source": "csv", "path": str(file), "target": target}
    config = LANGUAGE.of({"task": NUMBERS.get(name, "classification"), "data": data})
    return config.data.source.load()["all"], config


def of(frame: Frame, config: Any) -> Profile:
    return profile(frame, config.data, config.task.target_kind)


@pytest.mark.parametrize("name", [*SKLEARN, "adult", "housing"])
def test_a_leak_is_named_and_a_clean_table_has_none(name: str) -> None:
    frame, config = real(name)
    (target,) = config.data.targets
    assert of(frame, config).leaks == []
    values, rng = frame[target], np.random.default_rng(1)
    if name in NUMBERS:
        told, noisy = np.log(values), values * rng.normal(1, 0.02, len(values))
    else:
        told = np.array([f"={value}" for value in values], dtype=object)
        odd = rng.random(len(told)) < 0.01
        noisy = np.where(odd, rng.permutation(told), told)
    for planted in (told, noisy):
        (leak,) = of(frame.with_columns({"told": planted}), config).leaks
        assert (leak.column, leak.target) == ("told", target)
        assert leak.score >= 0.98
    half = rng.random(len(values)) < 0.5
    weak = np.where(half, values, rng.permutation(values))
    assert of(frame.with_columns({"weak": weak}), config).leaks == []


def test_two_columns_equally_good_are_no_leak_but_two_copies_are() -> None:
    """The two lengths of a petal both tell two irises apart: a task that is easy."""
    frame, config = real("iris")
    two = frame.take(frame["target"] != "virginica")
    assert of(two, config).leaks == []
    places = np.unique(frame["target"].astype(str), return_inverse=True)[1]
    texts = np.array([value[:3] for value in frame["target"]], dtype=object)
    copies = {"a": texts, "b": 2.0 - places}
    leaks = of(frame.with_columns(copies), config).leaks
    assert {leak.column for leak in leaks} == {"a", "b"}


def test_a_file_in_the_order_of_its_classes_is_given_away_by_its_numbers() -> None:
    frame, config = real("iris")
    (leak,) = of(frame.with_columns({"row": np.arange(150.0)}), config).leaks
    assert leak.column == "row"
    shuffled = np.random.default_rng(0).permutation(150).astype(float)
    assert of(frame.with_columns({"row": shuffled}), config).leaks == []


@pytest.mark.parametrize(
    ("values", "holds", "gaps", "remark"),
    [
        ([1.0, float("nan"), 3.0], "number", 1, []),
        ([7.0] * 30, "number", 0, ["constant"]),
        (["x"] * 30, "text", 0, ["constant"]),
        ([float("nan")] * 30, "number", 30, ["empty"]),
        ([float(i) for i in range(30)], "number", 0, ["id-like: every value once"]),
        ([i + 0.5 for i in range(30)], "number", 0, []),
        ([i * 1000.0 for i in range(30)], "number", 0, []),
        ([f"k{i}" for i in range(30)], "text", 0, ["id-like: every value once"]),
        ([f"k{i % 29}" for i in range(30)], "text", 0, []),
        ([f"a long sentence about nothing at all, said {i} times" for i in range(30)], "text", 0,
         ["free text"]),
        ([np.datetime64("2024-01-01", "s"), np.datetime64("NaT", "s")], "date", 1, ["constant"]),
    ],
)  # fmt: skip
def test_what_is_said_of_a_column(
    values: list[Any], holds: str, gaps: int, remark: list[str]
) -> None:
    found = column_of(frame_of(a=values), "a", "input")
    assert (found.holds, found.gaps, found.remarks) == (holds, gaps, remark)


def test_large_numbers_once_each_are_ids_by_their_name() -> None:
    values = [i * 1000.0 for i in range(30)]
    for name, told in (("user_id", True), ("userId", True), ("paid", False), ("income", False)):
        assert bool(column_of(frame_of(**{name: values}), name, "input").remarks) is told


def test_a_wide_table_stays_readable(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    names = [f"a rather long name of a column, number {i}" for i in range(300)]
    columns = {name: rng.normal(size=60) for name in names} | {"odd": np.ones(60)}
    frame = frame_of(**columns, y=["a", "b"] * 30)
    config = LANGUAGE.of(
        {"task": "classification", "data": {"source": "csv", "path": "x", "target": "y"}}
    )
    show(of(frame, config), Console())
    said = capsys.readouterr().out
    assert all(len(line) <= 80 for line in said.splitlines())
    assert len(said.splitlines()) < 60
    assert "constant: 1" in said
    assert "a (30), b (30)" in said
    assert "282 columns more: 282 numbers" in said


@pytest.fixture
def place(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    lines = ["fare,dull,survived,alive"]
    for i in range(120):
        yes = bool(rng.random() < 0.4)
        lines.append(f"{rng.normal():.3f},{i % 2},{int(yes)},{'yes' if yes else 'no'}")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = """\
task: classification
data: {source: csv, path: t.csv, target: survived, transforms: [{drop: [dull]}, auto]}
model: {name: mlp, width: 4, depth: 1}
train: {epochs: 1}
runtime: {threads: 1}
"""
    (tmp_path / "ftune.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def told(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    run = subprocess.run(
        [sys.executable, "-m", "ftune.cli", *words], cwd=place, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return run


def test_check_and_training_tell_and_the_run_keeps_it(place: Path) -> None:
    check = told(place, "check", "--data", "--json")
    train = told(place, "optimize", "--out", "run", "--json")
    for run in (check, train):
        assert "`alive` alone gives `survived`" in run.stderr
        assert "dropped" in run.stderr
    stored = json.loads((place / "run" / "profile.json").read_text(encoding="utf-8"))
    assert stored == json.loads(check.stdout)["profile"]
    assert {c["name"]: c["role"] for c in stored["columns"]} == {
        "fare": "input", "dull": "dropped", "survived": "target", "alive": "input",
    }  # fmt: skip
    assert any("`alive` alone" in note for note in json.loads(train.stdout)["notes"])
    without = told(place, "check", "--data", "data.transforms=[{drop: [dull, alive]}, auto]")
    assert "alone" not in without.stderr + without.stdout


def test_a_large_file_is_left_to_the_training(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ftune.data.validation import profiled

    config = LANGUAGE.load(place / "ftune.yaml")
    assert isinstance(profiled.profiled(config.data, "classes"), Profile)
    monkeypatch.setattr(profiled, "LARGEST", 100)
    said = profiled.profiled(config.data, "classes")
    assert isinstance(said, str)
    assert "training prints its columns" in said
    undisturbed(config, place / "run")
