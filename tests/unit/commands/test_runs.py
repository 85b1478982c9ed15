"""`ftune runs`: dates, and the best first."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ftune.commands.runs import LARGER_IS_BETTER, figures_of, runs
from ftune.console import Console
from ftune.errors import RequestError
from ftune.runs.folder import RunFolder
from ftune.tasks import classes, labels, tags, tokens

METRICS = {
    "a": {"test": {"accuracy": 0.7, "loss": 0.9}, "val": {"r2/x": -1.0}},
    "b": {"test": {"accuracy": 0.9, "loss": 1.5}},
    "c": {"test": {"accuracy": math.nan, "loss": 0.2}},
    "d": {},
}


def place(folder: Path) -> Path:
    for number, (name, metrics) in enumerate(METRICS.items()):
        started = f"2026-11-2{number}T12:00:00.000+00:00"
        with RunFolder.create(folder / name, "", status="done", started=started) as run:
            run.write_summary({"metrics": metrics, "seconds": 9.0 - number})
    return folder


@pytest.mark.parametrize(
    ("key", "order"),
    [
        (None, "abcd"),
        ("test.accuracy", "bacd"),
        ("test.loss", "cabd"),
        ("val.r2/x", "abcd"),
        ("seconds", "dcba"),
    ],
)
def test_the_best_comes_first(
    key: str | None, order: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = runs(place(tmp_path), Console(), key)["runs"]
    assert "".join(Path(run["run"]).name for run in listed) == order
    said = capsys.readouterr().out
    assert len(re.findall(r"2026-11-2\d", said)) == 4
    assert (key or "best") in said


def test_what_no_run_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"--sort test.acuracy: .* mean `test.accuracy`"):
        runs(place(tmp_path), Console(quiet=True), "test.acuracy")


def test_which_metrics_are_better_larger() -> None:
    tables: list[Mapping[str, Any]] = [
        classes._GENERAL, classes._BINARY, labels._DIRECTIONS, tags._DIRECTIONS,
        tokens._DIRECTIONS, {"r2": "max", "rmse": "min", "mae": "min"},
    ]  # fmt: skip
    for table in tables:
        for name, direction in table.items():
            assert (name in LARGER_IS_BETTER) == (direction == "max"), name
    assert figures_of([{"metrics": {"val": {"r2": 0.5}}}], "val.r2") == {0: (False, -0.5)}
