"""The batches of training steps and of evaluations, on the device of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ftune.batch import to_device
from ftune.data.batches import Batches
from ftune.data.dataset import Split
from ftune.data.store import RngKey, Store
from ftune.distributed.group import Group, Solo, rank_slice
from ftune.objectives import Batch

if TYPE_CHECKING:
    from ftune.schema.root import RunConfig

Load = Callable[[int, int], list[Batch]]
"""(step, parts) -> the micro-batches of the step, each in at most so many parts."""


class BatchLoader:
    """Loads the micro-batches of a step; what is drawn for them depends on the step's epoch.

    source: returns the training rows as they are gathered now.
    Data that fits lives on the device as tensors: a batch is then an index_select. Of each
    micro-batch a process of the group gets its share.
    """

    def __init__(
        self, source: Callable[[], Split], batches: Batches, seed: int, device: torch.device,
        group: Group,
    ) -> None:  # fmt: skip
        self.source, self.batches = source, batches
        self.seed, self.device, self.group = seed, device, group

    @property
    def train(self) -> Split:
        return self.source()

    def __call__(self, step: int, parts: int) -> list[Batch]:
        shares = rank_slice(self.batches.indices(step), self.group)
        return [self.batch(step, rows) for rows in split_rows(shares, parts)]

    def batch(self, step: int, rows: Tensor) -> Batch:
        """Return any rows (positions, int64 [n]) as a batch of that step."""
        rng_key = RngKey(self.seed, step // self.batches.steps_per_epoch)
        return to_device(self.train.batch(rows, rng_key), self.device)


def split_rows(rows: Iterable[Tensor], parts: int) -> list[Tensor]:
    """Return the rows of each micro-batch in at most `parts` parts."""
    return [part for some in rows for part in torch.chunk(some, min(parts, len(some)))]


def prefetched(loader: BatchLoader) -> Load:
    """Return the loader, one step ahead where the CPU makes what another device computes with."""
    ahead = loader.device.type != "cpu" and not loader.train.inputs.dense
    return Prefetcher(loader, loader.source) if ahead else loader


class Prefetcher:
    """Makes the batches of the next step while this one is trained, from the rows of the time."""

    def __init__(self, load: Load, source: Callable[[], Split | None] = lambda: None) -> None:
        self.load, self.source = load, source
        self.pool = ThreadPoolExecutor(1)
        self.coming: dict[tuple[int, int, int], Future[list[Batch]]] = {}

    def __call__(self, step: int, parts: int) -> list[Batch]:
        rows = id(self.source())
        ahead = self.coming.pop((rows, step, parts), None)
        batches = ahead or self.pool.submit(self.load, step, parts)
        self.coming = {(rows, step + 1, parts): self.pool.submit(self.load, step + 1, parts)}
        return batches.result()


def eval_batches(
    split: Split, size: int, device: torch.device, group: Group | None = None
) -> Iterator[dict[str, Tensor]]:
    """Yield the share of this process of all rows of a split, `size` at once, no randomness."""
    for rows in rank_slice(split.slices(size), group or Solo()):
        yield to_device(split.batch(rows), device)


def eval_batch_size(inputs: Store, config: RunConfig) -> int:
    """Return how many rows are evaluated at once."""
    if config.eval_.batch_size != "auto":
        return config.eval_.batch_size
    return 4096 if inputs.dense else config.train.batch_size
