"""Trainings that are killed and resumed, again and again, in processes of their own."""

from __future__ import annotations

import random
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftune.assembly import fault_policy
from ftune.assembly.loader import BatchLoader, Load, Prefetcher, prefetched
from ftune.commands.resume import resume
from ftune.runs.folder import RunFolder
from support.children import DONE, kill_at_random, launch
from support.trainings import EVERYTHING, QUIET, assert_same, begin, begun, configuration, trace

OFTEN = ("train.checkpoint_every={steps: 2}", "train.epochs=20")


@dataclass(frozen=True)
class Work:
    """A training to be killed. ahead: batches are made one step ahead, in a thread."""

    changes: tuple[str, ...] = OFTEN
    plain: Mapping[str, Any] = field(default_factory=lambda: EVERYTHING)
    ahead: bool = False


def train_or_resume(out: Path, work: Work) -> None:
    """Begins the training, or goes on with whatever is there; nothing to do when it is done."""
    if work.ahead:
        vars(fault_policy)["prefetched"] = one_ahead  # in the child alone
    if begun(out):
        folder = RunFolder(out)
        if folder.facts()["status"] != "done":
            resume(folder, False, QUIET)
        return
    from ftune.training.train import train

    train(begin(configuration(*work.changes, plain=work.plain), out))


def one_ahead(loader: BatchLoader) -> Load:
    """As on a GPU, where a thread makes the batches of the next step."""
    load = prefetched(loader)
    return load if isinstance(load, Prefetcher) else Prefetcher(load)


def chain(
    out: Path,
    work: Work,
    kills: int,
    longest: float,
    seed: int,
    numbers: tuple[int, ...] = (signal.SIGKILL,),
) -> int:
    """Trains through `kills` signals at random instants, then to the end; returns how many hit."""
    dice, hits = random.Random(seed), 0
    for _ in range(kills):
        number = dice.choice(numbers)
        code = kill_at_random(launch(train_or_resume, out, work), longest, dice, number)
        hits += code != DONE
        assert code in (DONE, -number, 128 + number), f"exit code {code}"
    last = launch(train_or_resume, out, work)
    last.join(120)
    assert last.exitcode == DONE
    return hits


def chains(
    whole: Mapping[str, Any], folder: Path, work: Work, kills: int, longest: float, seed: int
) -> int:
    """Chains of 5 SIGKILLs until `kills` have hit; each must end in the undisturbed bits."""
    hits = 0
    while hits < kills:
        out = folder / f"run-{seed}"
        hits += chain(out, work, 5, longest, seed)
        assert_same(whole, trace(out))
        seed += 1
    return hits
