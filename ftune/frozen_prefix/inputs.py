"""A store of rows whose prefix is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ftune.data.store import RngKey, Store
from ftune.frozen_prefix.cut import STORED, Cut
from ftune.frozen_prefix.rows import StoredRows


@dataclass(frozen=True)
class PrefixInputs:
    """The rows of `inputs` with their stored activations (Store).

    blank: the shape of a row's x, where its numbers are not needed and cost something to make.
    """

    inputs: Store
    stored: StoredRows
    cut: Cut
    device: torch.device
    blank: tuple[int, ...] | None = None

    @property
    def notes(self) -> list[str]:
        return self.inputs.notes

    @property
    def lengths(self) -> Tensor | None:
        return self.inputs.lengths

    @property
    def source_rows(self) -> Tensor | None:
        return self.inputs.source_rows

    @property
    def dense(self) -> bool:
        """Whether thousands of rows go at once: what is left is a small head."""
        return not self.cut.needs and len(self.cut.shape) == 2

    @property
    def random(self) -> bool:
        return self.inputs.random

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: Tensor, rng_key: RngKey | None = None) -> dict[str, Tensor]:
        """What is stored, and of the rows themselves what the rest of the model asks for."""
        x = self.stored.take(rows, self.device)
        if not self.cut.needs:
            return {"x": x, STORED: x}
        if self.blank is not None:
            return {"x": x.new_zeros(()).expand(len(x), *self.blank), STORED: x}
        return self.inputs.take(rows, rng_key) | {STORED: x}

    def to(self, device: torch.device) -> PrefixInputs:
        return replace(self, inputs=self.inputs.to(device), device=device)

    def digest(self, update: Callable[[bytes], None]) -> None:
        self.inputs.digest(update)
