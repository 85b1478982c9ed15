"""The batches that a training sees, in order, however they are made (promise R2)."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from ftune.assembly import fault_policy
from ftune.assembly.build import build, read_data
from ftune.assembly.fault_policy import batch_loader
from ftune.assembly.loader import BatchLoader, Load, prefetched
from ftune.assembly.parts import Parts
from ftune.data.batches import Batches
from ftune.data.dataset import Split
from ftune.data.store import RngKey
from ftune.objectives import Batch
from ftune.schema.root import RunConfig
from support.chains import one_ahead
from support.trainings import configuration, interrupted, tensor_hash, undisturbed

WAYS = {"when asked for": prefetched, "one step ahead": one_ahead}


def digest(batches: list[Batch]) -> str:
    """Every tensor of every micro-batch of a step, by name and in order."""
    found = hashlib.sha256()
    for batch in batches:
        for name in sorted(batch):
            found.update(f"{name} {tuple(batch[name].shape)} {tensor_hash(batch[name])}".encode())
    return found.hexdigest()


@contextmanager
def noted(way: Any) -> Iterator[dict[int, str]]:
    """Notes the digest of each step that a training takes, its batches being made that way."""
    seen: dict[int, str] = {}

    def feed(loader: BatchLoader) -> Load:
        take = way(loader)

        def noting(step: int, split: int) -> list[Batch]:
            found: list[Batch] = take(step, split)
            seen[step] = digest(found)
            return found

        return noting

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fault_policy, "prefetched", feed)
        yield seen


def stream(config: RunConfig, out: Path, way: Any, at: list[int]) -> dict[int, str]:
    """The digests of a training that was interrupted after the steps `at`."""
    with noted(way) as seen:
        interrupted(config, out, at) if at else undisturbed(config, out)
    return seen


def streams(plain: Mapping[str, Any], folder: Path, seed: int) -> tuple[int, int]:
    """(steps compared, of which differ): both ways, undisturbed and interrupted three times."""
    config, dice = configuration("train.epochs=3", plain=plain), random.Random(seed)
    wanted = stream(config, folder / "whole", prefetched, [])
    compared = differ = 0
    for number, way in enumerate([*WAYS.values(), *WAYS.values()]):
        at = sorted(dice.sample(range(1, len(wanted)), 3)) if number >= len(WAYS) else []
        found = stream(config, folder / str(number), way, at)
        compared += len(wanted)
        differ += sum(found.get(step) != wanted[step] for step in wanted)
    return compared, differ


def parts_of(plain: Mapping[str, Any]) -> Parts:
    config = configuration(plain=plain)
    return build(config, read_data(config))


def unseen(parts: Parts, epochs: int) -> int:
    """Rows that some epoch has not, or has twice, asked for in any order."""
    batches, wrong, size = parts.batches, 0, len(parts.dataset.train)
    for epoch in range(epochs):
        steps = list(range(epoch * batches.steps_per_epoch, (epoch + 1) * batches.steps_per_epoch))
        random.Random(epoch).shuffle(steps)
        rows = torch.cat([part for step in steps for part in batches.indices(step)])
        wrong += int((torch.bincount(rows, minlength=size) != 1).sum())
    return wrong


def unlike_in_parts(parts: Parts, steps: int) -> int:
    """Steps whose rows differ when their micro-batches go in two parts."""
    take, differ = prefetched(batch_loader(parts)), 0
    for step in range(steps):
        whole, halves = take(step, 1), take(step, 2)
        for name in ("x", "y"):
            if name in whole[0] and "partner" not in whole[0]:
                one, other = (_rows(found, name) for found in (whole, halves))
                differ += one != other
    return differ


def _rows(batches: list[Batch], name: str) -> list[list[float]]:
    """Rows without what pads them, which depends on their neighbours."""
    rows = [row for batch in batches for row in batch[name]]
    return [[x for x in row.flatten().tolist() if x not in (-100, 1)] for row in rows]


class Stateful(Batches):
    """The negative control: the order comes from a generator that is used up as it goes."""

    dice = torch.Generator()

    def indices(self, step: int) -> list[torch.Tensor]:
        del step
        order = torch.randperm(self._size, generator=self.dice)
        return list(torch.split(order[: self._batch_size * self._accumulate], self._batch_size))


def from_the_global_generator(patch: pytest.MonkeyPatch) -> None:
    """The other control: augmentations draw from whatever torch's generator has come to."""
    real = Split.batch

    def batch(
        self: Split, rows: torch.Tensor, rng_key: RngKey | None = None
    ) -> dict[str, torch.Tensor]:
        some = int(torch.randint(2**31, (1,)))
        return real(self, rows, rng_key and RngKey(some, rng_key.epoch))

    patch.setattr(Split, "batch", batch)
