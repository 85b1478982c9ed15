"""A fault of ours while a run is opened again is not answered as a damaged file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.trainings import QUIET, begin, configuration

from ftune.commands.resume import resume
from ftune.engine.state import State
from ftune.errors import CheckpointError
from ftune.runs.folder import RunFolder
from ftune.training.train import train


@pytest.fixture
def paused(tmp_path: Path) -> RunFolder:
    train(begin(configuration(), tmp_path / "run", pause_at=2))
    return RunFolder(tmp_path / "run")


def test_a_key_error_of_ours_stays_one(paused: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: object) -> None:
        raise KeyError("of ours")

    monkeypatch.setattr(State, "load", faulty)
    with pytest.raises(KeyError, match="of ours"):
        resume(paused, False, QUIET)


def test_a_run_without_its_data_is_damaged(paused: RunFolder) -> None:
    file = paused.path / "run.json"
    facts = json.loads(file.read_text())
    file.write_text(json.dumps({k: v for k, v in facts.items() if k != "data"}))
    with pytest.raises(CheckpointError, match=r"run\.json: damaged: no `data`"):
        resume(paused, False, QUIET)


@pytest.mark.parametrize("damage", ["[]", "", '{"seconds": '])
def test_a_damaged_summary_is_written_anew(paused: RunFolder, damage: str) -> None:
    (paused.path / "summary.json").write_text(damage)
    summary = resume(paused, False, QUIET)
    assert summary["status"] == "done" and paused.record.status == "done"
    assert any("summary.json: damaged" in note for note in summary["notes"]), summary["notes"]
    assert paused.summary_json()["metrics"]
