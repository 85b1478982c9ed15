"""Which rows each optimizer step sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ftune.errors import DataError

if TYPE_CHECKING:
    import torch


class Batches:
    """Every row once an epoch, in an order that derives from (seed, epoch) alone.

    A step takes `accumulate` micro-batches of `batch_size` rows; the last step of an epoch has what
    is left, or does not exist with `drop_last`. Any step can be asked for at any time, which is all
    that an exact resume needs.
    """

    def __init__(
        self,
        size_of_set: int,
        batch_size: int,
        accumulate: int = 1,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        rows = batch_size * accumulate
        self.steps_per_epoch = size_of_set // rows if drop_last else -(-size_of_set // rows)
        if not self.steps_per_epoch:
            raise DataError(
                f"train.batch_size {batch_size} × accumulate {accumulate} is more than the"
                f" {size_of_set} training rows, and drop_last leaves no step; make it smaller"
            )
        self._size, self._batch_size, self._accumulate = size_of_set, batch_size, accumulate
        self._seed = seed % 2**64
        self._epoch = -1
        self._parts: tuple[torch.Tensor, ...] = ()

    def indices(self, step: int) -> list[torch.Tensor]:
        """The micro-batches of step `step` (from 0): each [rows] int64."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._shuffle(epoch)
        start = index * self._accumulate
        return list(self._parts[start : start + self._accumulate])

    def _shuffle(self, epoch: int) -> None:
        import torch

        order = torch.from_numpy(np.random.default_rng([self._seed, epoch]).permutation(self._size))
        self._parts, self._epoch = torch.split(order, self._batch_size), epoch
