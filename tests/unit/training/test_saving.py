"""Checkpoints written beside the training: what is copied, kept, pointed at, and refused."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.trainings import QUIET, begin, configuration, differences, trace, undisturbed

from ftune.errors import OutOfMemoryError, RunFailedError
from ftune.runs import checkpoint
from ftune.runs.checkpoint import Checkpoint
from ftune.runs.folder import RunFolder, read_metrics
from ftune.training import saving
from ftune.training.reopen import reopen
from ftune.training.train import train

OFTEN = ("train.checkpoint_every={steps: 1}", "train.epochs=2", "train.keep=30")


def slow_disk(monkeypatch: pytest.MonkeyPatch, steps: int = 5) -> None:
    """A writer that is behind: a few steps are made before it looks at what it shall write."""
    made, write = threading.Semaphore(0), checkpoint._write

    def late(folder: Path, content: Checkpoint, frozen: Mapping[str, str]) -> None:
        for _ in range(steps):
            made.acquire(timeout=0.05)
        write(folder, content, frozen)

    from ftune.engine.step import Step

    call = Step.__call__

    def counted(self: Step, *given: Any) -> Any:
        found = call(self, *given)
        made.release()
        return found

    monkeypatch.setattr(checkpoint, "_write", late)
    monkeypatch.setattr(Step, "__call__", counted)
    monkeypatch.setattr(saving.Saver, "wait", lambda _: None)  # else each save waits for the last


def saved(out: Path) -> dict[str, Any]:
    """Every checkpoint by its step, as bytes of its weights."""
    folder = out / "checkpoints"
    return {
        p.name: ((p / "model.safetensors").read_bytes(), (p / "training.safetensors").read_bytes())
        for p in sorted(folder.glob("step-*"))
    }


def test_a_slow_disk_saves_what_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed(configuration(*OFTEN), tmp_path / "fast")
    slow_disk(monkeypatch)
    undisturbed(configuration(*OFTEN), tmp_path / "slow")
    assert saved(tmp_path / "fast") == saved(tmp_path / "slow")


def test_control_without_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of the CPU are not copied by `.cpu()`: the saved state would be a later one."""
    undisturbed(configuration(*OFTEN), tmp_path / "fast")
    monkeypatch.setattr(Checkpoint, "copied", lambda self: self)
    slow_disk(monkeypatch)
    undisturbed(configuration(*OFTEN), tmp_path / "slow")
    assert saved(tmp_path / "fast") != saved(tmp_path / "slow")


def test_no_memory_for_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Checkpoint) -> Checkpoint:
        raise OutOfMemoryError("no")

    undisturbed(configuration(*OFTEN), tmp_path / "copied")
    monkeypatch.setattr(Checkpoint, "copied", refuse)
    undisturbed(configuration(*OFTEN), tmp_path / "direct")
    assert saved(tmp_path / "copied") == saved(tmp_path / "direct")


KEEP = ("train.keep_best=3", "eval.every={steps: 1}", "train.epochs=6", "optimizer.lr=0.2")


def best_steps(out: Path, count: int) -> list[int]:
    lines = [m for m in read_metrics(out / "metrics.jsonl") if m["split"] == "val"]
    return [m["step"] for m in sorted(lines, key=lambda m: (m["loss"], m["step"]))[:count]]


def kept(out: Path) -> set[int]:
    return {int(p.name[5:]) for p in (out / "checkpoints").glob("step-*")}


def test_the_best_three_are_kept(tmp_path: Path) -> None:
    summary = undisturbed(configuration(*KEEP), tmp_path / "run")
    best = best_steps(tmp_path / "run", 3)
    assert kept(tmp_path / "run") == {*best, summary["steps"]}
    pointer = json.loads((tmp_path / "run/checkpoints/best.json").read_text())
    assert pointer["step"] == best[0]


def resumed_keeping(out: Path, stop: int, forget: bool = False) -> set[int]:
    """Which checkpoints are there in the end; of a training whose best steps come early."""
    wild = (*KEEP, "optimizer.lr=3.0")
    train(begin(configuration(*wild), out, pause_at=stop))
    run = reopen(RunFolder(out), QUIET)
    run.resumed = replace(run.resumed, ranking=()) if forget else run.resumed
    train(run)
    return kept(out)


@pytest.mark.parametrize("stop", [3, 11, 17, 30])
def test_the_best_three_after_a_resume(stop: int, tmp_path: Path) -> None:
    found = resumed_keeping(tmp_path / "run", stop)
    undisturbed(configuration(*KEEP, "optimizer.lr=3.0"), tmp_path / "whole")
    assert differences(trace(tmp_path / "run"), trace(tmp_path / "whole")) == []
    assert found == kept(tmp_path / "whole")
    assert {*best_steps(tmp_path / "run", 3)} <= found


def test_control_a_resume_that_forgets_the_best(tmp_path: Path) -> None:
    found = resumed_keeping(tmp_path / "run", 30, forget=True)
    assert not {*best_steps(tmp_path / "run", 3)} <= found


def test_not_begun_without_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2000))
    with pytest.raises(RunFailedError, match=r"not begun: .* needs about [\d,]+ bytes.*2,000 are"):
        begin(configuration(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
