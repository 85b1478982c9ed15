"""Trainings that are asked to stop by a signal (promise C4)."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ftune.runs.files import read_json
from ftune.runs.folder import RunFolder
from ftune.runtime.signals import Stopper
from ftune.training import train as module
from support.chains import Work, train_or_resume
from support.children import DONE, launch

# Nothing but a signal saves: what a resume goes on from was saved because of one.
RARE = Work(("train.checkpoint_every={steps: 100000}", "train.epochs=60", "eval.every={steps: 40}"))
LONGEST_SECONDS = 20.0


def heard(out: Path, work: Work) -> None:
    """Trains, and leaves a file as soon as it listens to signals."""
    real = vars(module)["stopper"]

    @contextmanager
    def noted() -> Iterator[Stopper]:
        with real() as found:
            _listening(out).touch()
            yield found

    vars(module)["stopper"] = noted
    train_or_resume(out, work)


def deaf(out: Path, work: Work) -> None:
    """The negative control: nobody listens, as in a plain training script."""

    @contextmanager
    def nobody() -> Iterator[Stopper]:
        _listening(out).touch()
        yield Stopper()

    vars(module)["stopper"] = nobody
    train_or_resume(out, work)


def slow(out: Path, work: Work) -> None:
    """A training whose every step takes a minute."""
    from ftune.engine.step import Step

    def step(*_: Any) -> None:
        _stepping(out).touch()
        time.sleep(60)

    Step.__call__ = step  # type: ignore
    heard(out, work)


def signal_once(out: Path, dice: random.Random, work: Any = heard, longest: float = 0.4) -> str:
    """One training or its continuation, a signal, and what was wrong with the end of it.

    "done" where it ended before the signal; "" where all is as promised.
    """
    number = dice.choice((signal.SIGINT, signal.SIGTERM))
    _listening(out).unlink(missing_ok=True)
    child = launch(work, out, RARE)
    while not _listening(out).exists() and child.is_alive():
        time.sleep(0.002)
    time.sleep(dice.uniform(0, longest))
    began = time.monotonic()
    if child.is_alive() and child.pid:
        os.kill(child.pid, number)
    child.join(60)
    seconds, code = time.monotonic() - began, child.exitcode
    ended = (out / "run.json").exists() and read_json(out / "run.json")["status"] == "done"
    return "done" if code == DONE or ended else _faults(out, int(number), code, seconds)


def _faults(out: Path, number: int, code: int | None, seconds: float) -> str:
    folder = RunFolder(out)
    pointer = folder.checkpoints / "latest.json"
    saved = read_json(pointer) if pointer.exists() else {}
    summary, status = folder.summary_json(), read_json(out / "run.json")["status"]
    found = [] if code == 128 + number else [f"exit {code}"]
    found += [] if status == "interrupted" else [f"status {status}"]
    found += [] if saved.get("step", -1) == summary.get("steps") else ["the step was not saved"]
    found += [] if seconds <= LONGEST_SECONDS else [f"{seconds:.0f} s"]
    return ", ".join(found)


def leave_at_once(out: Path, dice: random.Random) -> float:
    """Seconds from the second signal to the end, in a step of a minute; exit 130."""
    child = launch(slow, out, RARE)
    while not _stepping(out).exists():
        time.sleep(0.002)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGINT)
    time.sleep(dice.uniform(0.05, 0.3))
    assert child.is_alive(), "left at the first signal, inside a step"
    began = time.monotonic()
    os.kill(child.pid, signal.SIGINT)
    child.join(60)
    assert child.exitcode == 128 + signal.SIGINT
    return time.monotonic() - began


def _listening(out: Path) -> Path:
    return out.with_suffix(".listening")


def _stepping(out: Path) -> Path:
    return out.with_suffix(".stepping")
