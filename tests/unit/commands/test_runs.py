"""`ftune runs`: dates, and the best first."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from ftune.commands.runs import figures_of, runs
from ftune.console import Console
from ftune.errors import RequestError
from ftune.runs.folder import RunFolder
from ftune.runs.run_record import Summary

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
    assert len(re.findall(r"11-2\d", said)) == 4
    assert (key or "best") in said


def test_what_no_run_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"--sort test.acuracy: .* mean `test.accuracy`"):
        runs(place(tmp_path), Console(quiet=True), "test.acuracy")


@pytest.mark.parametrize(("way", "first"), [("max", "b"), ("min", "a")])
def test_a_run_tells_which_way_its_own_metrics_go(way: str, first: str, tmp_path: Path) -> None:
    for name, gini in (("a", 0.2), ("b", 0.6)):
        with RunFolder.create(tmp_path / name, "", status="done", directions={"gini": way}) as run:
            run.write_summary({"metrics": {"test": {"gini": gini}}})
    listed = runs(tmp_path, Console(quiet=True), "test.gini")["runs"]
    assert Path(listed[0]["run"]).name == first


def test_figures_are_turned_so_that_the_smallest_is_the_best() -> None:
    summaries = [Summary(metrics={"val": {"r2": 0.5, "rmse": 2.0}})]
    assert figures_of(summaries, "val.r2") == {0: (False, -0.5)}
    assert figures_of(summaries, "val.rmse") == {0: (False, 2.0)}


def test_the_oldest_comes_first_and_a_damaged_run_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, started in (("b", "2026-01-02"), ("a", "2026-01-03"), ("c", "2026-01-01")):
        (tmp_path / name).mkdir()
        RunFolder(tmp_path / name).describe(started=started, command="optimize", status="done")
    (tmp_path / "other").mkdir()
    (tmp_path / "a/summary.json").write_text("[]")
    listed = runs(tmp_path, Console(quiet=False))["runs"]
    assert [(Path(run["run"]).name, run["status"]) for run in listed] == [
        ("a", "damaged"), ("c", "done"), ("b", "done")
    ]  # fmt: skip
    assert "summary.json: damaged" in capsys.readouterr().err
