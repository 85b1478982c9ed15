"""The run folder's small files."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ftune.errors import RequestError
from ftune.runs.folder import Metrics, RunFolder, read_metrics


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_name_and_facts(tmp_path: Path) -> None:
    place = RunFolder.place("optimize", "digits", None, tmp_path)
    folder = RunFolder.create(place, "seed: 3\n", status="running")
    assert folder.config_file.read_text() == "seed: 3\n"
    assert folder.path.parent == tmp_path and folder.path.name.startswith("optimize-digits-20")
    folder.describe(status="done", seed=1)
    folder.describe(seed=2)
    assert folder.facts() == {"status": "done", "seed": 2}
    assert RunFolder.open(folder.path) == folder
    assert folder.summary_json() == {}


def test_taken_and_impossible_folders(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    with pytest.raises(RequestError, match="exists already"):
        RunFolder.place("optimize", "", tmp_path / "full", tmp_path)
    with pytest.raises(RequestError, match="exists already"):
        RunFolder.place("optimize", "", tmp_path / "full" / "x", tmp_path)
    with pytest.raises(RequestError, match="cannot create"):
        RunFolder.create(tmp_path / "full" / "x" / "y", "")
    (tmp_path / "empty").mkdir()
    RunFolder.create(RunFolder.place("optimize", "", tmp_path / "empty", tmp_path), "")


def test_a_run_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it is made, there is no folder that is neither a run nor free."""

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "describe", killed)
    with pytest.raises(KeyboardInterrupt):
        RunFolder.create(tmp_path / "run", "", status="running")
    assert not (tmp_path / "run").exists()


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="not a run folder"):
        RunFolder.open(tmp_path)
    with pytest.raises(RequestError, match="no such folder"):
        RunFolder.open(tmp_path / "nowhere")


@pytest.mark.parametrize("pid", [None, "7", os.getpid()], ids=["none", "text", "own"])
def test_running_without_a_process_is_interrupted(pid: object, tmp_path: Path) -> None:
    """Our own number too: in a container a restarted process gets the dead one's."""
    folder = RunFolder(tmp_path)
    folder.describe(status="running", pid=pid)
    assert folder.facts()["status"] == "interrupted"


def test_dead_and_living_process(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.describe(status="running", pid=dead_process())
    assert folder.facts()["status"] == "interrupted"
    folder.describe(pid=os.getppid())
    assert folder.facts()["status"] == "running"


def test_a_summary_is_strict_json(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_summary({"metrics": {"test": {"auc": math.nan, "loss": [0.5, math.inf]}}})
    text = (tmp_path / "summary.json").read_text()
    assert "NaN" not in text and "Infinity" not in text
    assert folder.summary_json() == {"metrics": {"test": {"auc": None, "loss": [0.5, None]}}}


def written(path: Path, steps: range) -> None:
    metrics = Metrics(path)
    for step in steps:
        metrics.write(step=step, loss=1 / 3)
    metrics.close()


def test_metrics_are_cut_at_the_step_of_a_resume(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    written(file, range(6))
    metrics = Metrics(file, 3)
    metrics.write(step=4, loss=2.0)
    metrics.close()
    assert [line["step"] for line in read_metrics(file)] == [0, 1, 2, 3, 4]
    assert read_metrics(file)[0]["loss"].hex() == (1 / 3).hex()


def test_resumed_at_step_zero_keeps_its_line(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    written(file, range(3))
    Metrics(file, 0).close()
    assert [line["step"] for line in read_metrics(file)] == [0]


def test_a_new_run_starts_empty(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    written(file, range(3))
    Metrics(file).close()
    assert read_metrics(file) == []


@pytest.mark.parametrize("torn", ['{"step": 3, "lo', "{", '{"step": 3}\n\x00\x00\x00'])
def test_torn_last_line(torn: str, tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    written(file, range(3))
    with file.open("a") as tail:
        tail.write(torn)
    assert [line["step"] for line in read_metrics(file)][:3] == [0, 1, 2]
    metrics = Metrics(file, 2)
    metrics.write(step=3)
    metrics.close()
    assert [line["step"] for line in read_metrics(file)] == [0, 1, 2, 3]
