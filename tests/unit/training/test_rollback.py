"""Where a rollback goes, whatever interrupted the run before."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from support.faulty import bad_at, begin
from support.trainings import QUIET, assert_same, trace

from ftune.runs.folder import RunFolder
from ftune.training.reopen import reopen
from ftune.training.train import train

CHANGES = (
    "train.non_finite=rollback",
    "train.checkpoint_every={steps: 6}",
    "eval.every={epochs: 9}",
    "train.log_every=1",
)


@pytest.mark.parametrize("pause", [6, 8, 10])
def test_an_interruption_moves_no_rollback(pause: int, tmp_path: Path) -> None:
    """What a signal saved is no place to go back to: the undisturbed run goes back further."""
    with bad_at(10, "loss", math.nan):
        train(begin(tmp_path / "whole", *CHANGES))
    run = begin(tmp_path / "parts", *CHANGES)
    run.pause_at = pause
    train(run)
    with bad_at(10, "loss", math.nan):
        resumed = reopen(RunFolder(tmp_path / "parts"), QUIET)
        train(resumed)
    assert resumed.state.skipped_faults == 1
    assert_same(trace(tmp_path / "whole"), trace(tmp_path / "parts"))
