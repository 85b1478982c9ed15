"""Token rows in memory: ragged samples, several packed into one row, or blocks of one stream."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ftune.batch import IGNORE_INDEX
from ftune.data.store import RngKey, digest_tensor
from ftune.data.text.ragged import Ragged, Rows


@dataclass(frozen=True)
class Tokens:
    """Rows of different lengths, padded on the right to the longest of a batch.

    x: int32 [tokens], all rows one after the other. offsets: int64 [rows + 1], on the CPU.
    y: int32 [tokens], a target for each position, or None. segments: int32 [tokens] from 1, where
    rows hold several samples, or None. source_rows: int64 [rows], the (first) row of the
    frame that each row was made of; None: they are the same.
    """

    x: Tensor
    offsets: Tensor
    pad: int = 0
    y: Tensor | None = None
    segments: Tensor | None = None
    source_rows: Tensor | None = None
    notes: list[str] = field(default_factory=list)
    dense: ClassVar[bool] = False
    random: ClassVar[bool] = False

    @classmethod
    def of(cls, x: Ragged, pad: int, y: Ragged | None = None) -> Tokens:
        flat = torch.from_numpy(x.flat.astype(np.int32, copy=False))
        targets = None if y is None else torch.from_numpy(y.flat.astype(np.int32, copy=False))
        return cls(flat, torch.from_numpy(x.offsets), pad, targets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Tensor:
        return self.offsets.diff()

    def take(self, rows: Tensor, rng_key: RngKey | None = None) -> dict[str, Tensor]:  # noqa: ARG002
        """x, segments and, where there are targets, y: int64 [rows, longest]."""
        index, there = padded(self.offsets, rows, self.x.device)
        inside = there.long() if self.segments is None else self.segments[index].long() * there
        batch = {"x": self.x[index].long().masked_fill(~there, self.pad), "segments": inside}
        if self.y is not None:
            batch["y"] = self.y[index].long().masked_fill(~there, IGNORE_INDEX)
        return batch

    def to(self, device: torch.device) -> Tokens:
        y, segments = (None if t is None else t.to(device) for t in (self.y, self.segments))
        return replace(self, x=self.x.to(device), y=y, segments=segments)

    def digest(self, update: Callable[[bytes], None]) -> None:
        for tensor in (self.x, self.offsets, self.y, self.segments):
            if tensor is not None:
                digest_tensor(tensor, update)


def padded(offsets: Tensor, rows: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where the values of ragged rows lie, and which places are no padding: [rows, longest].

    offsets: int64 [all rows + 1], on the CPU.
    """
    rows = rows.to(offsets.device)
    starts = offsets[rows, None]
    lengths = offsets[rows + 1, None] - starts
    steps = torch.arange(int(lengths.max()))
    there = steps < lengths
    return torch.where(there, starts + steps, 0).to(device), there.to(device)


def pack(tokens: Tokens, width: int) -> Tokens:
    """Several samples a row, at most `width` positions; segments number them from 1.

    Best-fit decreasing: each sample, the longest first, goes where the least room remains. No
    sample is cut; one that is longer than `width` is an error of the caller.
    """
    lengths = tokens.lengths.numpy()
    bins = _best_fit(lengths, width)
    order = np.lexsort((-lengths, bins))
    ragged = Ragged(tokens.x.numpy(), tokens.offsets.numpy())
    x = ragged.take(order)
    counts = np.bincount(bins)
    number = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    ends = np.cumsum(lengths[order])[np.cumsum(counts) - 1]
    y = None if tokens.y is None else ragged.with_flat(tokens.y.numpy()).take(order)
    first = order[np.cumsum(counts) - counts]
    share = len(x.flat) / (len(counts) * width)
    note = f"{len(order):,} samples are packed into {len(counts):,} rows of at most {width:,}"
    return Tokens(
        torch.from_numpy(x.flat),
        torch.from_numpy(np.concatenate([[0], ends])),
        tokens.pad,
        None if y is None else torch.from_numpy(y.flat),
        torch.from_numpy(np.repeat(number, lengths[order]).astype(np.int32)),
        torch.from_numpy(first) if tokens.source_rows is None else tokens.source_rows[first],
        [*tokens.notes, f"{note} tokens, {share:.0%} full."],
    )


def _best_fit(lengths: Rows, width: int) -> Rows:
    """[samples] the bin of each."""
    assert len(lengths) and lengths.max() <= width
    bins = np.empty(len(lengths), dtype=np.int64)
    with_room: dict[int, list[int]] = {}
    rooms: list[int] = []  # the sizes of room that some bin has, ascending
    count = 0
    for sample in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[sample])
        at = bisect_left(rooms, length)
        if at == len(rooms):
            chosen, room, count = count, width, count + 1
        else:
            room = rooms[at]
            chosen = with_room[room].pop()
            if not with_room[room]:
                del with_room[room], rooms[at]
        bins[sample], left = chosen, room - length
        if left not in with_room:
            with_room[left] = []
            insort(rooms, left)
        with_room[left].append(chosen)
    return bins


@dataclass(frozen=True)
class Blocks:
    """One stream of tokens, cut into rows of `width` positions without padding.

    In training the cut moves with (seed, epoch), so that no token is always the first of its block.
    Otherwise it starts at 0 and a last, shorter row holds the rest: every token is predicted once.
    """

    stream: Tensor
    width: int
    train: bool
    pad: int = 0
    notes: list[str] = field(default_factory=list)
    lengths: None = None
    source_rows: ClassVar[None] = None
    dense: ClassVar[bool] = False

    @property
    def random(self) -> bool:
        return self.train

    def __len__(self) -> int:
        predicted = len(self.stream) - 1
        if not self.train:
            return -(-predicted // self.width)
        # One block is given up for room to move, unless the rest or the text is large enough.
        whole, rest = divmod(predicted, self.width)
        return whole if rest >= self.width // 2 or whole == 1 else whole - 1

    def take(self, rows: Tensor, rng_key: RngKey | None = None) -> dict[str, Tensor]:
        """x, y: int64 [rows, width]; segments only where a row is not full."""
        steps = torch.arange(self.width)
        index = self._offset(rng_key) + rows.cpu()[:, None] * self.width + steps
        there = index < len(self.stream) - 1
        at = torch.where(there, index, 0).to(self.stream.device)
        batch = {"x": self.stream[at].long(), "y": self.stream[at + 1].long()}
        if not bool(there.all()):
            there = there.to(self.stream.device)
            batch["x"].masked_fill_(~there, self.pad)
            batch["y"].masked_fill_(~there, IGNORE_INDEX)
            batch["segments"] = there.long()
        return batch

    def _offset(self, rng_key: RngKey | None) -> int:
        if rng_key is None or not self.train:
            return 0
        room = len(self.stream) - 1 - len(self) * self.width
        return int(np.random.default_rng([rng_key.seed % 2**64, rng_key.epoch]).integers(room + 1))

    def to(self, device: torch.device) -> Blocks:
        return replace(self, stream=self.stream.to(device))

    def digest(self, update: Callable[[bytes], None]) -> None:
        digest_tensor(self.stream, update)
        update(f"{self.width} {self.train}".encode())
