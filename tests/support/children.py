"""Processes to be killed: forked from one server that has torch loaded, so that each is cheap."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from ftune.commands.resume import resume
from ftune.errors import FtuneError
from ftune.runs import checkpoint
from ftune.runs.checkpoint import Checkpoint
from ftune.runs.folder import RunFolder
from support.trainings import QUIET, begin, configuration

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(  # installed modules only: the server does not see the tests' path
    ["pytest", "sklearn.datasets", "ftune.commands.resume", "ftune.commands.sweep"]
)
DONE = 0


def launch(work: Callable[..., None], *given: Any) -> BaseProcess:
    """A process that has begun to work, so that a signal meets ftune and not Python's start."""
    ready, here = _SERVER.Pipe(duplex=False)
    child = _SERVER.Process(target=_guarded, args=(here, work, *given))
    child.start()
    assert ready.poll(60), "the process never started"
    return child


def _guarded(here: Connection, work: Callable[..., None], *given: Any) -> None:
    """A user's fault or a signal is an exit code, as on the command line."""
    torch.set_num_threads(1)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        here.send(True)
        work(*given)
    except FtuneError as error:
        print(error)  # noqa: T201
        os._exit(error.exit_code)
    except KeyboardInterrupt:  # before the training began to listen
        os._exit(128 + signal.SIGINT)


def kill_at_random(
    child: BaseProcess, longest: float, dice: random.Random, number: int = signal.SIGKILL
) -> int:
    """Sends the signal after a random time; returns the exit code, 0 where it was too late."""
    time.sleep(dice.uniform(0, longest))
    assert child.pid is not None
    if child.is_alive():
        os.kill(child.pid, number)
    child.join(60)
    assert child.exitcode is not None, "still alive a minute after the signal"
    return child.exitcode


def train_or_resume(out: Path, changes: tuple[str, ...]) -> None:
    """Begins the training, or goes on with whatever is there; nothing to do when it is done."""
    if (out / "run.json").exists():
        folder = RunFolder(out)
        if folder.facts()["status"] != "done":
            resume(folder, False, QUIET)
        return
    from ftune.training.train import train

    train(begin(configuration(*changes), out))


def weights(step: int) -> Checkpoint:
    """A checkpoint that says in every tensor which step it is of."""
    tensors = {f"layer{i}": torch.full((64, 64), float(step)) for i in range(4)}
    return Checkpoint(tensors, {"step": step}, {"moment": torch.full((64,), float(step))})


def save_forever(folder: Path) -> None:
    """Saves one checkpoint after another, from the newest valid one on."""
    step = 0
    if any(folder.glob("step-*")):
        step = int(checkpoint.newest_valid(folder)[0].meta["step"])
    while True:
        step += 1
        target = checkpoint.save(folder, weights(step), step)
        checkpoint.point(folder, "latest", target, step=step)
        checkpoint.prune(folder, 1)


def save_in_place_forever(folder: Path) -> None:
    """The careless way: the same file, overwritten."""
    folder.mkdir(parents=True, exist_ok=True)
    step = 0
    while True:
        step += 1
        torch.save({"model": dict(weights(step).model)}, folder / "model.pt")


def storm(folder: Path, kills: int, seed: int) -> tuple[int, int]:
    """(kills, unreadable): saves are killed; what is left must hold one whole, consistent state."""
    dice, unreadable = random.Random(seed), 0
    for _ in range(kills):
        child = launch(save_forever, folder)
        while not any(folder.glob("step-*")):  # the first is on its way
            time.sleep(0.005)
        assert kill_at_random(child, 0.05, dice) == -signal.SIGKILL
        try:
            found, _ = checkpoint.newest_valid(folder)
        except FtuneError:
            unreadable += 1
            continue
        step = found.meta["step"]
        tensors = [*found.model.values(), *found.training.values()]
        whole = all(bool((tensor == step).all()) for tensor in tensors)
        unreadable += not whole
    return kills, unreadable


def chain(out: Path, changes: tuple[str, ...], kills: int, longest: float, seed: int,
          numbers: tuple[int, ...] = (signal.SIGKILL,)) -> int:  # fmt: skip
    """Trains through `kills` signals at random instants, then to the end; returns how many hit."""
    dice, hits = random.Random(seed), 0
    for _ in range(kills):
        number = dice.choice(numbers)
        code = kill_at_random(launch(train_or_resume, out, changes), longest, dice, number)
        hits += code != DONE
        assert code in (DONE, -number, 128 + number), f"exit code {code}"
    last = launch(train_or_resume, out, changes)
    last.join(120)
    assert last.exitcode == DONE
    return hits
