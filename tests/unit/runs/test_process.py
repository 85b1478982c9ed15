"""A run's process: alive, dead, its number given again, on another machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftune.commands.runs import runs
from ftune.console import Console
from ftune.runs import process
from ftune.runs.files import read_json, write_json
from ftune.runs.folder import RunFolder
from ftune.runs.process import alive, identity

NOW = identity()


@pytest.fixture
def living() -> Iterator[int]:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield child.pid
    child.communicate(b"\n")


def test_identity_is_noted_beside_the_own_number(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.describe(pid=os.getpid())
    assert read_json(tmp_path / "run.json")["process"] == NOW
    assert NOW["host"] == platform.node() and identity() == NOW
    folder.describe(pid=os.getppid())
    assert read_json(tmp_path / "run.json")["process"] is None


@pytest.mark.skipif(NOW["began"] is None, reason="needs /proc")
@pytest.mark.parametrize(
    ("change", "lives"),
    [({}, True), ({"began": 1}, False), ({"boot": "another"}, False)],
    ids=["the same", "number given again", "after a restart"],
)
def test_on_this_machine(change: dict[str, Any], lives: bool, living: int, tmp_path: Path) -> None:
    noted = NOW | {"began": process.process_stat(living)[1]} | change
    assert alive({"pid": living, "process": noted}, tmp_path) is lives


@pytest.mark.skipif(NOW["began"] is None, reason="needs /proc")
def test_a_zombie_is_dead(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    while process.process_stat(child.pid)[0] != "Z":
        time.sleep(0.01)
    assert not alive({"pid": child.pid}, tmp_path)
    child.wait()


def test_an_older_run_has_its_number_only(living: int, tmp_path: Path) -> None:
    assert alive({"pid": living}, tmp_path)
    assert not alive({"pid": os.getpid()}, tmp_path)
    assert not alive({"pid": None, "process": None}, tmp_path)


@pytest.mark.parametrize(("silent", "status"), [(60, "running"), (7200, "interrupted")])
def test_on_another_machine_its_files_tell(silent: int, status: str, tmp_path: Path) -> None:
    """A number means nothing there; a run that still writes is not taken for dead."""
    write_json(tmp_path / "run.json", {
        "status": "running", "pid": os.getpid(), "process": NOW | {"host": "elsewhere"},
    })  # fmt: skip
    (tmp_path / "metrics.jsonl").write_text("")
    for path in (tmp_path, *tmp_path.iterdir()):
        os.utime(path, (time.time() - silent, time.time() - silent))
    assert RunFolder(tmp_path).facts()["status"] == status


def test_the_list_names_the_other_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r").mkdir()
    facts = {"status": "running", "pid": 1, "process": NOW | {"host": "elsewhere"}}
    write_json(tmp_path / "r" / "run.json", facts)
    runs(tmp_path, Console())
    assert "running on elsewhere" in capsys.readouterr().out
