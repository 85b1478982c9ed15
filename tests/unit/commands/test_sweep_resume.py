"""A sweep whose record is not what ftune wrote is answered, and left as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.sweeps import GRID, HALVING, PLAIN, run_sweep
from support.trainings import QUIET, configuration, undisturbed

from ftune.commands.resume import begun, resume
from ftune.console import Console
from ftune.errors import CheckpointError, RequestError
from ftune.runs.folder import RunFolder

CONFIG = """
data: {source: sklearn, name: iris, split: {val: 0.2}}
task: classification
model: {name: mlp}
sweep: {scientific: {optimizer.lr: [0.1, 0.2]}}
"""


@pytest.mark.parametrize("facts", [{}, {"metric": "accuracy", "sign": "up"}])
def test_facts_of_another_form(facts: dict[str, str], tmp_path: Path) -> None:
    text = json.dumps({"command": "sweep", "status": "interrupted", **facts})
    (tmp_path / "run.json").write_text(text)
    (tmp_path / "config.yaml").write_text(CONFIG)
    with pytest.raises(CheckpointError, match="damaged"):
        resume(RunFolder(tmp_path), False, QUIET)
    assert (tmp_path / "run.json").read_text() == text


RANGE = {"sweep": {"nuisance": {"optimizer.lr": {"low": 0.001, "high": 0.1, "log": True}}}}


def trials_of(summary: dict[str, Any]) -> list[Any]:
    return [(trial["params"], trial["value"]) for trial in summary["trials"]]


def test_more_trials_are_those_of_the_longer_sweep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ("train.epochs=1",)
    whole = run_sweep(tmp_path / "whole", RANGE, *short, "sweep.trials=3")
    first = run_sweep(tmp_path / "s", RANGE, *short, "sweep.trials=2")
    folder = RunFolder.open(tmp_path / "s")
    resume(folder, False, Console())
    assert "nothing to continue (sweep.trials=N would add trials)" in capsys.readouterr().out
    more = resume(folder, False, QUIET, ["sweep.trials=3"])
    assert trials_of(more) == trials_of(whole)
    assert trials_of(more)[:2] == trials_of(first)
    assert folder.config_file.read_text() == (tmp_path / "whole" / "config.yaml").read_text()
    with pytest.raises(RequestError, match=r"sweep.trials=3: .* has 3; give more"):
        resume(folder, False, QUIET, ["sweep.trials=3"])
    config = configuration(*short, "sweep.trials=4", plain=PLAIN | RANGE)
    with pytest.raises(RequestError, match=r"ftune resume .* sweep.trials=4` goes on to that"):
        begun("auto", folder.path, config)


def test_where_no_trials_can_be_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, block, why in (("g", GRID, "points of a grid"), ("h", HALVING, "successive halving")):
        run_sweep(tmp_path / name, block, "train.epochs=1", "sweep.trials=2")
        with pytest.raises(RequestError, match=f"sweep.trials=3: .*{why}.*begin a new sweep"):
            resume(RunFolder.open(tmp_path / name), False, QUIET, ["sweep.trials=3"])
        resume(RunFolder.open(tmp_path / name), False, Console())
        assert capsys.readouterr().out.rstrip().endswith("is done; there is nothing to continue")
    undisturbed(configuration("train.epochs=1"), tmp_path / "t")
    with pytest.raises(RequestError, match=r"sweep.trials=3: .* is of optimize and has no trials"):
        resume(RunFolder.open(tmp_path / "t"), False, QUIET, ["sweep.trials=3"])
