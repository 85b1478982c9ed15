"""C3: a full disk; the older checkpoint is byte-identical, the message names bytes."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.ledger import Ledger, full
from support.trainings import QUIET, assert_same, configuration, trace, undisturbed

from ftune.assembly.build import build, read_data
from ftune.cli_run import disk_message
from ftune.errors import RunFailedError
from ftune.runs import checkpoint
from ftune.runs.folder import RunFolder
from ftune.training.reopen import reopen
from ftune.training.run import new_run
from ftune.training.train import train

SIZE = 2**20
CHANGES = ("train.checkpoint_every={steps: 2}", "train.epochs=3", "train.keep=50")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one MiB, of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"no small disk can be made here: {made.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("step-*/*")}


def fill(disk: Path, leave: int) -> None:
    """A file that leaves so many bytes."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "filler").write_bytes(b"x" * max(0, free - leave))


def fills_up(disk: Path, leave: int) -> tuple[str, bool]:
    """A training whose disk fills while it runs: what it says, and whether older ones are whole."""
    config = configuration(*CHANGES)
    run = new_run("optimize", "", disk / "run", config, build(config, read_data(config)), QUIET)
    run.pause_at = 4
    train(run)
    before = contents(disk / "run/checkpoints")
    fill(disk, leave)
    said = ""
    try:
        train(reopen(RunFolder(disk / "run"), QUIET))
    except RunFailedError as error:
        said = str(error)
    except OSError as error:  # as the command line says it
        said = disk_message(error)
    after = contents(disk / "run/checkpoints")
    return said, bool(before) and all(after.get(name) == data for name, data in before.items())


def test_c3_full_disk(disk: Path, tmp_path: Path, ledger: Ledger) -> None:
    undisturbed(configuration(*CHANGES), tmp_path / "whole")
    whole, failures = trace(tmp_path / "whole"), 0
    leaves = [4096 * i for i in range(full(10))]
    for leave in leaves:
        said, kept = fills_up(disk, leave)
        named = re.search(r"No space left on device.*bytes", said) is not None
        (disk / "filler").unlink()
        train(reopen(RunFolder(disk / "run"), QUIET))  # goes on once there is space
        assert_same(whole, trace(disk / "run"))
        failures += not (kept and named)
        subprocess.run(["rm", "-rf", str(disk / "run")], check=True)
    ledger.counted("C3", len(leaves), failures, "disks filled in the middle")


def test_c3_refused_before_the_start(disk: Path, ledger: Ledger) -> None:
    fill(disk, 8192)
    config = configuration(*CHANGES)
    parts = build(config, read_data(config))
    with pytest.raises(RunFailedError, match=r"not begun.* needs about [\d,]+ bytes.*[\d,]+ are"):
        new_run("optimize", "", disk / "run", config, parts, QUIET)
    ledger.counted("C3", 1, int((disk / "run").exists()), "start refused")


def test_c3_control(disk: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saving in place of the older checkpoint must lose it."""
    save = checkpoint.save

    def in_place(folder: Path, content: checkpoint.Checkpoint, step: int, *_: object) -> Path:
        target = checkpoint.place(folder, step)
        for old in folder.glob("step-*"):
            old.rename(target)
        if not target.exists():
            return save(folder, content, step)
        checkpoint._write(target, content, {})
        return target

    monkeypatch.setattr(checkpoint, "save", in_place)
    _, kept = fills_up(disk, 12288)
    ledger.control("C3", not kept, "saving in place")
