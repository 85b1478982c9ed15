"""C2: damage to a checkpoint is found, and the last good one is used."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from support.damage import cut, flip, missed, torch_accepts
from support.ledger import Ledger, full
from support.storms import weights
from support.trainings import QUIET, begin, configuration

from ftune.runs import checkpoint
from ftune.runs.folder import RunFolder
from ftune.training.reopen import reopen
from ftune.training.train import train


def test_flips(part: int, tmp_path: Path, ledger: Ledger) -> None:
    path = checkpoint.save(tmp_path, weights(1), 1)
    count = full(1000)
    ledger.counted(
        "C2", count, missed(path, count, flip, 7 + 1000 * part), "flipped bits, any file"
    )


def test_truncations(part: int, tmp_path: Path, ledger: Ledger) -> None:
    path = checkpoint.save(tmp_path, weights(1), 1)
    count = full(400)
    ledger.counted("C2", count, missed(path, count, cut, 8 + 1000 * part), "truncations, any file")


def test_falls_back(tmp_path: Path, ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    """A run whose newest checkpoint is damaged goes on from the one before, and says so."""
    config = configuration("train.checkpoint_every={steps: 2}", "train.keep=3")
    train(begin(config, tmp_path / "run", pause_at=9))
    dice, failures, count = random.Random(9), 0, full(20)
    newest, before = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))[:-3:-1]
    for _ in range(count):
        file = dice.choice(sorted(newest.iterdir()))
        content = file.read_bytes()
        file.write_bytes(dice.choice((flip, cut))(content, dice))
        run = reopen(RunFolder(tmp_path / "run"), QUIET)
        run.folder.release()
        said = capsys.readouterr().err
        file.write_bytes(content)
        failures += run.state.step != int(before.name[5:]) or "passed over a damaged" not in said
    ledger.counted("C2", count, failures, "resumes from the one before, said")


def test_control(tmp_path: Path, ledger: Ledger) -> None:
    torch.save({"model": dict(weights(1).model)}, tmp_path / "model.pt")
    count = full(200)
    taken = missed(tmp_path, count, flip, 10, torch_accepts)
    ledger.control("C2", taken > count / 2, f"torch.load takes {taken} of {count} flipped bits")
