"""Two processes that go on with one run at the same instant (promise W1)."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any

from ftune.commands.resume import resume
from ftune.console import Console
from ftune.errors import FtuneError
from ftune.runs.folder import RunFolder, read_metrics
from ftune.runs.lock import Lock
from support.children import launch
from support.sweeps import GRID, run_sweep
from support.trainings import assert_same, begin, configuration, trace

_SERVER = multiprocessing.get_context("forkserver")
DONE = "is done; there is nothing to continue"
OFTEN = ("train.checkpoint_every={steps: 2}", "train.log_every=1")
Work = Callable[[Path, Barrier, Path], None]


@dataclass(frozen=True)
class Ended:
    """How one of the two ended: its exit code, and what it said last."""

    code: int | None
    said: str


def interrupted_run(out: Path) -> None:
    """A training given up in the middle of its 24 steps."""
    from ftune.training.train import train

    train(begin(configuration(*OFTEN), out, pause_at=9))
    RunFolder(out).describe(status="interrupted")


def whole_run(out: Path) -> None:
    from ftune.training.train import train

    train(begin(configuration(*OFTEN), out))


def whole_sweep(out: Path) -> None:
    run_sweep(out, GRID)


def interrupted_sweep(out: Path) -> None:
    """A sweep of which the first of six trials are finished."""
    from ftune.errors import InterruptedRunError
    from ftune.search.launch import LocalLauncher

    real, trials = LocalLauncher.__call__, []

    def third(self: LocalLauncher, trial: Any, divisor: int | None) -> Any:
        trials.append(trial)
        if len(trials) == 3:
            raise InterruptedRunError(15, str(out))
        return real(self, trial, divisor)

    LocalLauncher.__call__ = third  # type: ignore[method-assign, assignment]
    try:
        run_sweep(out, GRID)
    except InterruptedRunError:
        pass
    finally:
        LocalLauncher.__call__ = real  # type: ignore[method-assign]


class Noting(Console):
    """Leaves the sentence that a run is done in a file."""

    def __init__(self, file: Path) -> None:
        super().__init__(json_output=True, quiet=True)
        self.file = file

    def info(self, text: str = "") -> None:
        if DONE in text:
            self.file.write_text(text, encoding="utf-8")


def goes_on(out: Path, gate: Barrier, said: Path) -> None:
    """Resumes as soon as the other one is ready, too, and leaves its last sentence in `said`."""
    folder = RunFolder.open(out)
    gate.wait(60)
    try:
        resume(folder, False, Noting(said))
    except FtuneError as error:
        said.write_text(str(error), encoding="utf-8")
        raise


def goes_on_unlocked(out: Path, gate: Barrier, said: Path) -> None:
    """The negative control: whoever asks gets the folder, as in version 0.1."""

    def anybody(folder: Path, shown: Path | None = None) -> Lock:
        del shown
        return Lock(folder, None)

    Lock.take = anybody  # type: ignore[method-assign]
    goes_on(out, gate, said)


def race(interrupted: Path, out: Path, work: Work = goes_on) -> list[Ended]:
    """Two processes on one copy of an interrupted run; how they ended, the winner first."""
    shutil.copytree(interrupted, out)
    gate = _SERVER.Barrier(2)
    notes = [out.with_name(f"{out.name}.{number}.said") for number in range(2)]
    children = [launch(work, out, gate, note) for note in notes]
    for child in children:
        child.join(240)
    said = [note.read_text(encoding="utf-8") if note.exists() else "" for note in notes]
    ended = [Ended(child.exitcode, text) for child, text in zip(children, said, strict=True)]
    return sorted(ended, key=lambda one: (one.code != 0, one.said))


def faults_of(ended: list[Ended], out: Path, whole: Path) -> list[str]:
    """In words, what is not as promised: one winner, one sentence, and not a line lost."""
    winner, loser = ended
    wanted = 2 if met(loser) else 0  # who comes after the end has nothing to do
    faults = [] if (winner.code, loser.code, winner.said) == (0, wanted, "") else [f"ended {ended}"]
    if len(loser.said.splitlines()) != 1 or not refused(loser):
        faults.append(f"said {loser.said!r}")
    if RunFolder(out).facts()["status"] != "done":
        faults.append("not done")
    for file in sorted(whole.rglob("metrics.jsonl")):
        name = file.parent.relative_to(whole)
        lines = (out / name / "metrics.jsonl").read_bytes().splitlines()
        if len(lines) != len(read_metrics(file)):
            faults.append(f"{name}: {len(lines)} lines")
        try:
            assert_same(trace(whole / name), trace(out / name))
        except AssertionError as error:
            faults.append(f"{name}: {error}")
    left = [str(file) for file in out.rglob(".lock")]
    return faults + left


def met(loser: Ended) -> bool:
    """Whether the two were there at once, and the loser was told by whom."""
    return "is being written by another process" in loser.said


def refused(loser: Ended) -> bool:
    return met(loser) or DONE in loser.said
