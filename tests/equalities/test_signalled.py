"""Asked to stop by a signal: saved at the step, said on disk, left with its code (promise C4)."""

from __future__ import annotations

import random
from pathlib import Path

from support.chains import train_or_resume
from support.children import DONE, launch
from support.signalled import RARE, deaf, leave_at_once, signal_once
from support.trainings import assert_same, configuration, trace, undisturbed


def test_what_a_signal_saved_is_gone_on_from(tmp_path: Path) -> None:
    undisturbed(configuration(*RARE.changes), tmp_path / "whole")
    dice = random.Random(1)
    said = [signal_once(tmp_path / "run", dice, longest=0.2) for _ in range(3)]
    assert said[0] == "" and set(said) <= {"", "done"}
    last = launch(train_or_resume, tmp_path / "run", RARE)
    last.join(120)
    assert last.exitcode == DONE
    assert_same(trace(tmp_path / "whole"), trace(tmp_path / "run"))


def test_a_second_signal_is_not_waited_for(tmp_path: Path) -> None:
    assert leave_at_once(tmp_path / "run", random.Random(2)) < 10  # of a minute


def test_control_nobody_listens(tmp_path: Path) -> None:
    assert "not saved" in signal_once(tmp_path / "run", random.Random(3), deaf, 0.01)
