"""Rows of different lengths in one flat array."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from ftune.data.frame import Array

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ragged:
    """flat: [values]. offsets: int64 [rows + 1]; row i is flat[offsets[i] : offsets[i + 1]]."""

    flat: Array
    offsets: Rows

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], dtype: str = "int32") -> Ragged:
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        flat = np.fromiter(chain.from_iterable(rows), np.dtype(dtype), int(lengths.sum()))
        return cls(flat, _offsets(lengths))

    @classmethod
    def repeated(cls, row: Sequence[int], times: int) -> Ragged:
        """The same row so many times."""
        flat = np.tile(np.asarray(row, dtype=np.int32), times)
        return cls(flat, np.arange(times + 1, dtype=np.int64) * len(row))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Array:
        part: Array = self.flat[self.offsets[row] : self.offsets[row + 1]]
        return part

    @property
    def lengths(self) -> Rows:
        return np.diff(self.offsets)

    @property
    def owners(self) -> Rows:
        """[values] the row that each value belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def with_flat(self, flat: Array) -> Ragged:
        """Other values in the same rows."""
        assert len(flat) == len(self.flat)
        return Ragged(flat, self.offsets)

    def cut(self, first: int | Rows, lengths: Rows) -> Ragged:
        """Of each row `lengths` values, from its value number `first` on."""
        starts = self.offsets[:-1] + first
        offsets = _offsets(lengths)
        places = np.repeat(starts - offsets[:-1], lengths) + np.arange(int(offsets[-1]))
        return Ragged(self.flat[places], offsets)

    def head(self, most: int) -> Ragged:
        """At most the first `most` values of each row."""
        return self.cut(0, np.minimum(self.lengths, most))

    def take(self, rows: Array) -> Ragged:
        """These rows (positions, or a mask), in that order."""
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows
        lengths = self.lengths[chosen]
        offsets = _offsets(lengths)
        starts = np.repeat(self.offsets[:-1][chosen] - offsets[:-1], lengths)
        return Ragged(self.flat[starts + np.arange(int(offsets[-1]))], offsets)


def side_by_side(parts: Sequence[Ragged]) -> Ragged:
    """Row i of each, one after the other, as row i."""
    lengths = np.sum([part.lengths for part in parts], axis=0)
    offsets = _offsets(lengths)
    flat = np.empty(int(offsets[-1]), dtype=np.result_type(*(part.flat for part in parts)))
    starts = offsets[:-1].copy()
    for part in parts:
        shift = np.repeat(starts - part.offsets[:-1], part.lengths)
        flat[shift + np.arange(len(part.flat))] = part.flat
        starts += part.lengths
    return Ragged(flat, offsets)


def stacked(parts: Iterable[Ragged]) -> Ragged:
    """The rows of the first, then those of the second …"""
    rows = list(parts)
    lengths = np.concatenate([np.zeros(0, np.int64), *(part.lengths for part in rows)])
    flat = np.concatenate([np.zeros(0, np.int32), *(part.flat for part in rows)])
    return Ragged(flat, _offsets(lengths))


def _offsets(lengths: Rows) -> Rows:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
