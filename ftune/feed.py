"""The batches of a step, where the model is, in time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from ftune.build import Parts, moved
from ftune.data.store import Dense, Draw
from ftune.objectives import Batch

Take = Callable[[int, int], list[Batch]]
Make = Callable[[int, Tensor], Batch]


def feeder(parts: Parts, made: Make) -> Take:
    """The micro-batches of a step, each in so many parts.

    What is decoded or padded for each batch is made one step ahead where the device is not the
    one that would make it.
    """
    rows_of = parts.batches.indices

    def take(step: int, split: int) -> list[Batch]:
        rows = rows_of(step)
        return [made(step, some) for some in (rows if split == 1 else pieces(rows, split))]

    ahead = parts.device.type != "cpu" and not isinstance(parts.dataset.train.inputs, Dense)
    return Ahead(take) if ahead else take


def maker(parts: Parts) -> Make:
    """Any rows as a batch of a step: what is drawn for them depends on the step's epoch.

    Data that fits lives on the device as tensors: a batch is an index_select, no loader.
    """
    train, per_epoch = parts.dataset.train.to(parts.device), parts.batches.steps_per_epoch

    def made(step: int, rows: Tensor) -> Batch:
        draw = Draw(parts.config.seed, step // per_epoch)
        return moved(train.batch(rows, draw), parts.device)

    return made


def pieces(rows: list[Tensor], split: int) -> list[Tensor]:
    """Each micro-batch in at most `split` parts."""
    return [part for some in rows for part in torch.chunk(some, min(split, len(some)))]


class Ahead:
    """Makes the batches of the next step while this one is trained."""

    def __init__(self, take: Take) -> None:
        self.take = take
        self.pool = ThreadPoolExecutor(1)
        self.coming: dict[tuple[int, int], Future[list[Batch]]] = {}

    def __call__(self, step: int, split: int) -> list[Batch]:
        batches = self.coming.pop((step, split), None) or self.pool.submit(self.take, step, split)
        self.coming = {(step + 1, split): self.pool.submit(self.take, step + 1, split)}
        return batches.result()
