"""Killed by real signals in real processes, and resumed: the same bits as undisturbed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.chains import OFTEN, Work, chain
from support.commands import reached, start
from support.trainings import EVERYTHING, assert_same, configuration, trace, undisturbed

from ftune.runs.folder import RunFolder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("killed") / "run"
    undisturbed(configuration(*OFTEN), out)
    return trace(out)


@pytest.mark.parametrize("seed", [0, 1])
def test_sigkill(seed: int, whole: dict[str, Any], tmp_path: Path) -> None:
    assert chain(tmp_path / "run", Work(), kills=4, longest=0.8, seed=seed) >= 3
    assert_same(whole, trace(tmp_path / "run"))


def test_every_signal(whole: dict[str, Any], tmp_path: Path) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
    assert chain(tmp_path / "run", Work(), 4, 0.8, seed=2, numbers=numbers) >= 3
    assert_same(whole, trace(tmp_path / "run"))


def test_the_real_command(tmp_path: Path) -> None:
    """`ftune optimize`, then `ftune resume` three times, by SIGKILL, SIGINT and SIGTERM."""
    longer = ("train.checkpoint_every={steps: 8}", "train.epochs=40")
    file, out = tmp_path / "c.yaml", tmp_path / "run"
    file.write_text(yaml.safe_dump(EVERYTHING))
    undisturbed(configuration(*longer), tmp_path / "whole")
    child = start("optimize", str(file), "--out", str(out), *longer)
    steps = {signal.SIGKILL: 4, signal.SIGINT: 72, signal.SIGTERM: 136}
    for number, step in steps.items():
        reached(out, step, child)
        os.kill(child.pid, number)
        said = child.communicate(timeout=60)[1]
        assert child.returncode == (-number if number == signal.SIGKILL else 128 + number), said
        assert RunFolder(out).facts()["status"] == "interrupted"
        assert "Traceback" not in said
        child = start("resume", str(out))
    answer, said = child.communicate(timeout=120)
    assert child.returncode == 0, said
    assert json.loads(answer.splitlines()[-1])["status"] == "done"
    assert_same(trace(tmp_path / "whole"), trace(out))
