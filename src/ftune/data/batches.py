"""Which rows each optimizer step sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ftune.errors import DataError

if TYPE_CHECKING:
    import torch

Rows = npt.NDArray[np.int64]


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
        lengths: torch.Tensor | None = None,
    ) -> None:
        """lengths: int64 [rows]; where given, the rows of a step are of similar length."""
        rows = batch_size * accumulate
        self.steps_per_epoch = size_of_set // rows if drop_last else -(-size_of_set // rows)
        if not self.steps_per_epoch:
            raise DataError(
                f"train.batch_size {batch_size} × accumulate {accumulate} is more than the"
                f" {size_of_set} training rows, and drop_last leaves no step; make it smaller"
            )
        self._size, self._batch_size, self._accumulate = size_of_set, batch_size, accumulate
        self._seed, self._lengths = seed % 2**64, lengths
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

        rng = np.random.default_rng([self._seed, epoch])
        order = rng.permutation(self._size)
        if self._lengths is not None:
            rows = self._batch_size * self._accumulate
            order = _by_length(order, self._lengths.numpy(), rows, rng)
        self._parts, self._epoch = torch.split(torch.from_numpy(order), self._batch_size), epoch


def _by_length(order: Rows, lengths: Rows, rows: int, rng: np.random.Generator) -> Rows:
    """The same rows, so that each `rows` in a row are of similar length, in random order.

    Sorted within stretches of 50 steps, not over the whole set: most of the padding is saved and
    the batches still differ from epoch to epoch. A smaller last step stays the last.
    """
    stretch = 50 * rows
    parts = [order[at : at + stretch] for at in range(0, len(order), stretch)]
    order = np.concatenate([part[np.argsort(-lengths[part], kind="stable")] for part in parts])
    whole = len(order) // rows
    steps = order[: whole * rows].reshape(whole, rows)
    return np.concatenate([steps[rng.permutation(whole)].reshape(-1), order[whole * rows :]])
