"""Which rows each optimizer step sees."""

from __future__ import annotations

from collections.abc import Sequence
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
        lone: bool = True,
    ) -> None:
        """lengths: int64 [rows]; where given, the rows of a step are of similar length.

        lone: whether one row may be a micro-batch. Where not, it shares the rows of the one before
        it; a step of one row is left out.
        """
        self.rows_per_step = batch_size * accumulate
        whole, rest = divmod(size_of_set, self.rows_per_step)
        self.left_out = rest if drop_last or (rest == 1 and not lone) else 0
        self.steps_per_epoch = whole + (rest > self.left_out)
        if not self.steps_per_epoch:
            raise DataError(_no_step(size_of_set, batch_size, accumulate, drop_last))
        self.shared = not lone and not self.left_out and rest % batch_size == 1
        self._size, self._batch_size, self._accumulate = size_of_set, batch_size, accumulate
        self._seed, self._lengths = seed % 2**64, lengths
        self._epoch = -1
        self._parts: Sequence[torch.Tensor] = ()

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
            order = _by_length(order, self._lengths.numpy(), self.rows_per_step, rng)
        parts = torch.split(torch.from_numpy(order), self._batch_size)
        self._parts, self._epoch = _halved(parts) if self.shared else parts, epoch


def _no_step(size_of_set: int, batch_size: int, accumulate: int, drop_last: bool) -> str:
    if drop_last:
        return (
            f"train.batch_size {batch_size} × accumulate {accumulate} is more than the"
            f" {size_of_set} training rows, and drop_last leaves no step; make it smaller"
        )
    return "the only training row has no batch statistics to normalise by; give more rows"


def _halved(parts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The last two with their rows divided evenly; three rows stay together."""
    import torch

    *before, full, lone = parts
    rows = torch.cat([full, lone])
    return [*before, *torch.chunk(rows, 2 if len(rows) > 3 else 1)]


def _by_length(order: Rows, lengths: Rows, rows: int, rng: np.random.Generator) -> Rows:
    """The same rows, so that each `rows` in a row are of similar length, in random order.

    Sorted within stretches of 50 steps, as transformers' `group_by_length` does, and of half an
    epoch at most: over the whole set each epoch would have the same batches. What does not fill a
    step is drawn before anything is sorted, and stays the last.
    """
    whole = len(order) // rows
    stretch = rows * max(1, min(50, whole // 2))
    full, rest = order[: whole * rows], order[whole * rows :]
    parts = [full[at : at + stretch] for at in range(0, len(full), stretch)]
    *parts, rest = (part[np.argsort(-lengths[part], kind="stable")] for part in (*parts, rest))
    steps = np.concatenate([full[:0], *parts]).reshape(whole, rows)
    return np.concatenate([steps[rng.permutation(whole)].reshape(-1), rest])
