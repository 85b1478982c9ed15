"""Sequences: rows of several steps, each step a few numbers, of one length or of their own.

A column of them is object [rows], each float32 [steps, features]. Transforms see the steps of all
rows one under the other, so that each number has the statistics of its feature.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ftune.data.frame import Array, Frame, spoken_rows
from ftune.data.store import Dense, RngKey, digest_tensor
from ftune.errors import DataError

if TYPE_CHECKING:
    import torch

    from ftune.data.features import Features


@dataclass(frozen=True)
class Steps:
    """frame: a row for each step. lengths: int64 [rows]. raw: of each of its columns, whose it is.

    notes: which columns have one value a row, that stands at every step.
    """

    frame: Frame
    lengths: Array
    raw: dict[str, str]
    notes: list[str] = field(default_factory=list)


def steps_of(frame: Frame) -> Steps:
    """The steps of a frame with sequences. Raises DataError where their lengths do not agree."""
    lengths = _lengths(frame)
    columns: dict[str, Array] = {}
    raw: dict[str, str] = {}
    for name, column in frame.columns.items():
        parts = {name: np.repeat(column, lengths, axis=0)}
        if frame.kind(name) == "sequence":
            parts = _features(name, np.concatenate(list(column)))
        columns |= parts
        raw |= dict.fromkeys(parts, name)
    flat = Frame(columns, frame.origin, np.repeat(frame.rows, lengths), frame.notes)
    return Steps(flat, lengths, raw, _repeated(frame))


def _repeated(frame: Frame) -> list[str]:
    names = [f"`{name}`" for name in frame.columns if frame.kind(name) != "sequence"]
    shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
    return [f"one value a row, which stands at every step of it: {shown}"] if names else []


def _features(name: str, values: Array) -> dict[str, Array]:
    """[steps, features] as columns: `signal`, or `signal[0]`, `signal[1]`, …"""
    if values.shape[1] == 1:
        return {name: values[:, 0].astype(np.float64)}
    return {f"{name}[{i}]": values[:, i].astype(np.float64) for i in range(values.shape[1])}


def _lengths(frame: Frame) -> Array:
    first, *others = frame.named("sequence")
    lengths = np.array([len(row) for row in frame[first]], dtype=np.int64)
    for name in others:
        other = np.array([len(row) for row in frame[name]], dtype=np.int64)
        if (other != lengths).any():
            at = int(np.flatnonzero(other != lengths)[0])
            raise DataError(
                f"{frame.origin}: row {frame.rows[at]}: `{first}` has {lengths[at]:,} steps, "
                f"`{name}` {other[at]:,}; sequences of one row need as many"
            )
    return lengths


def column_of(rows: Sequence[Any], where: str) -> Array:
    """Rows as given, each [steps] or [steps, features]. Raises DataError that names the row."""
    column = np.empty(len(rows), dtype=object)
    for number, row in enumerate(rows, 1):
        column[number - 1] = _row(row, f"{where}, row {number}")
    widths = np.array([row.shape[1] for row in column])
    if (widths != widths[0]).any():
        at = int(np.flatnonzero(widths != widths[0])[0])
        raise DataError(
            f"{where}: row 1 has {widths[0]} numbers a step, row {at + 1} has {widths[at]}; all"
            " steps need as many"
        )
    return column


def _row(row: Any, where: str) -> Array:
    try:
        values = np.asarray(row)
    except ValueError:  # lists of several lengths
        values = np.asarray(None)
    if values.ndim not in (1, 2) or values.dtype.kind not in "fiub" or not values.size:
        shape = list(values.shape) if values.ndim and values.dtype.kind in "fiub" else None
        shown = f"{shape}" if shape is not None else f"{str(row)[:60]!r} ({type(row).__name__})"
        raise DataError(
            f"{where}: {shown} is no sequence; expected numbers [steps] or [steps, features], at"
            " least one step"
        )
    values = values.astype(np.float32)
    return values[:, None] if values.ndim == 1 else values


def converted(column: Array, where: str) -> Array:
    """What files and programs hold for it: arrays of one length, or lists as JSON text."""
    return column_of([_parsed(row) for row in column], where)


def _parsed(row: Any) -> Any:
    try:
        return json.loads(row) if isinstance(row, str) else row
    except (ValueError, RecursionError):
        return row  # refused with its row's number


def shaped(features: Features, lengths: Array) -> Features:
    """Of rows, from those of a step: the shape is that of the longest row."""
    shape, ragged = (int(lengths.max()), *features.shape), len(set(lengths.tolist())) > 1
    return replace(features, shape=shape, time=True, ragged=ragged)


def store_of(x: torch.Tensor, lengths: Array, features: Features, frame: Frame) -> Dense | Ragged:
    """x: [steps of all rows, features]. Raises DataError where rows of one length are expected."""
    import torch

    if features.ragged:
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return Ragged(x, torch.from_numpy(offsets))
    odd = lengths != features.shape[0]
    if odd.any():
        raise DataError(
            f"{frame.origin}: {spoken_rows(frame.rows[odd].tolist())}: {lengths[odd][0]:,} steps, "
            f"where all training rows have {features.shape[0]:,}; bring them to that length"
        )
    return Dense(x.reshape(len(lengths), *features.shape))


@dataclass(frozen=True)
class Ragged:
    """Rows of their own lengths, padded on the right with 0 to the longest of a batch.

    x: float32 [steps, features], all rows one after the other. offsets: int64 [rows + 1], on the
    CPU.
    """

    x: torch.Tensor
    offsets: torch.Tensor
    notes: list[str] = field(default_factory=list)
    source_rows: ClassVar[None] = None
    dense: ClassVar[bool] = False
    random: ClassVar[bool] = False

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> torch.Tensor:
        return self.offsets.diff()

    def take(self, rows: torch.Tensor, rng_key: RngKey | None = None) -> dict[str, torch.Tensor]:  # noqa: ARG002
        """x: float32 [n, longest, features]; segments: int64 [n, longest], 1, or 0 for padding."""
        from ftune.data.text.stores import padded

        index, there = padded(self.offsets, rows, self.x.device)
        return {"x": self.x[index] * there[..., None], "segments": there.long()}

    def to(self, device: torch.device) -> Ragged:
        return replace(self, x=self.x.to(device))

    def digest(self, update: Callable[[bytes], None]) -> None:
        digest_tensor(self.x, update)
        digest_tensor(self.offsets, update)
