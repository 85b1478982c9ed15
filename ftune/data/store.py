"""Rows of model inputs, ready to be batched: in memory, ragged, packed or decoded from disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class RngKey:
    """The randomness of a training batch: whatever is drawn derives from these and the rows."""

    seed: int
    epoch: int


class Store(Protocol):
    """The inputs of some rows.

    notes: what the user should know about them. lengths: int64 [rows] positions of each row, for
    batches of similar length; None where all are alike. source_rows: int64 [rows], the row of the
    frame that each was made from; None: they are the same. dense: whether a batch is one
    index_select of a tensor, so that nothing has to be made ahead and thousands go at once. random:
    whether training sees other numbers of a row from epoch to epoch.
    """

    @property
    def notes(self) -> list[str]: ...
    @property
    def lengths(self) -> Tensor | None: ...
    @property
    def source_rows(self) -> Tensor | None: ...
    @property
    def dense(self) -> bool: ...
    @property
    def random(self) -> bool: ...

    def __len__(self) -> int: ...

    def take(self, rows: Tensor, rng_key: RngKey | None = None) -> dict[str, Tensor]:
        """A batch of these rows (int64 [n]): `x`, and what else the rows bring.

        Text brings `segments`, language modelling also `y`. `rng_key` is None outside training:
        nothing is random then.
        """

    def to(self, device: torch.device) -> Store:
        """Where the rows live in memory, on that device; else itself."""

    def digest(self, update: Callable[[bytes], None]) -> None:
        """Feeds the content to a hash."""


@dataclass(frozen=True)
class Dense:
    """Rows that are alike: one tensor x [rows, …]."""

    x: Tensor
    notes: list[str] = field(default_factory=list)
    lengths: None = None
    source_rows: ClassVar[None] = None
    dense: ClassVar[bool] = True
    random: ClassVar[bool] = False

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Tensor, rng_key: RngKey | None = None) -> dict[str, Tensor]:  # noqa: ARG002
        return {"x": self.x.index_select(0, rows.to(self.x.device))}

    def to(self, device: torch.device) -> Dense:
        return Dense(self.x.to(device), self.notes)

    def digest(self, update: Callable[[bytes], None]) -> None:
        digest_tensor(self.x, update)


def digest_tensor(tensor: Tensor, update: Callable[[bytes], None]) -> None:
    """Type, shape and every number of a tensor."""
    update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    update(tensor.contiguous().cpu().numpy().tobytes())
