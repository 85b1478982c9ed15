"""Saves that are killed, and what must be left of them (promise C1)."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import torch

from ftune.errors import FtuneError
from ftune.runs import checkpoint
from ftune.runs.checkpoint import Checkpoint
from support.chains import Work, train_or_resume
from support.children import kill_at_random, launch


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


def in_place(folder: Path, kills: int, seed: int) -> tuple[int, int]:
    """(kills, unreadable) of the careless way."""
    dice, lost = random.Random(seed), 0
    for number in range(kills):
        here = folder / str(number)
        child = launch(save_in_place_forever, here)
        while not (here / "model.pt").exists():
            time.sleep(0.001)
        kill_at_random(child, 0.05, dice)
        try:
            torch.load(here / "model.pt", weights_only=True)
        except Exception:  # whatever torch says to half a file
            lost += 1
    return kills, lost


EVERY_STEP = Work(("train.checkpoint_every={steps: 1}", "train.epochs=200", "train.keep=2"))


def training_storm(folder: Path, kills: int, seed: int) -> tuple[int, int]:
    """(kills, unreadable) of one training after another, killed while it saves in its thread."""
    dice, unreadable, hits = random.Random(seed), 0, 0
    while hits < kills:
        out = folder / f"t{hits // 20}"
        child = launch(train_or_resume, out, EVERY_STEP)
        while not any((out / "checkpoints").glob("step-*")) and child.is_alive():
            time.sleep(0.005)
        hits += kill_at_random(child, 0.5, dice) == -signal.SIGKILL
        try:
            found, damaged = checkpoint.newest_valid(out / "checkpoints")
            unreadable += bool(damaged) or found.meta["loop"]["step"] < 0
        except FtuneError:
            unreadable += 1
    return hits, unreadable
