"""What a model receives: the shape of one row, the name of each input, and which are codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ftune.data.frame import Array, Frame
from ftune.data.lineage import Step
from ftune.data.transforms.choose import infinite_values
from ftune.errors import DataError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Features:
    """Inputs per row.

    shape: without the batch. names: of each input of a flat row, in order (`age`,
    `education=Bachelors`, `image[3]`); None for images. categories: inputs that are whole-number
    codes -> how many codes there are, 0 (unknown) included. vocabulary: of token inputs, how many
    ids there are; 0 for all others. time: a row is [steps, names]. ragged: rows have steps of
    their own, `shape` the most.
    """

    shape: tuple[int, ...]
    names: tuple[str, ...] | None
    categories: dict[str, int]
    vocabulary: int = 0
    time: bool = False
    ragged: bool = False


def features_of(frame: Frame, steps: Sequence[Step]) -> Features:
    """What the transformed `frame` gives. Raises DataError: images beside other columns."""
    from ftune.data.transforms.ordinal import Ordinal

    if not frame.columns:
        raise DataError(
            f"{frame.origin}: the transforms leave no column as an input"
            "; `auto` leaves out columns that are the same in all training rows"
        )
    _check_text(frame)
    coded = [step.state for step in steps if isinstance(step.transform, Ordinal)]
    counts = {name: len(c["categories"]) + 1 for state in coded for name, c in state.items()}
    categories = {name: counts[name] for name in frame.named("code") if name in counts}
    deep = [name for name, column in frame.columns.items() if column.ndim > 2]
    if not deep:
        names = tuple(
            part for name, column in frame.columns.items() for part in _parts(name, column)
        )
        return Features((len(names),), names, categories)
    if len(frame.columns) > 1:
        others = ", ".join(f"`{name}`" for name in frame.columns if name != deep[0])
        raise DataError(
            f"{frame.origin}: `{deep[0]}` {list(frame[deep[0]].shape[1:])} cannot stand beside"
            f" {others}; `flatten` it, or `select` one of them"
        )
    shape = frame[deep[0]].shape[1:]
    return Features((1, *shape) if len(shape) == 2 else shape, None, {})


def _parts(name: str, column: Array) -> list[str]:
    return [name] if column.ndim == 1 else [f"{name}[{i}]" for i in range(column.shape[1])]


def check_codes(frame: Frame, features: Features) -> None:
    """Whole numbers above 2**24 would not survive float32. Raises DataError."""
    for name, count in features.categories.items():
        if count > 2**24:
            raise DataError(
                f"{frame.origin}: column `{name}` has {count:,} categories; at most 2**24"
            )


def to_tensor(frame: Frame, features: Features) -> torch.Tensor:
    """[rows, *shape] float32. Raises DataError where a value is missing, infinite or no number."""
    import torch

    _check_text(frame)
    for name in frame.named("number", "array"):
        _check_finite(frame, name)
    rows = len(frame)
    if features.names is None:
        (column,) = frame.columns.values()
        _check_shape(frame, column.size == rows * int(np.prod(features.shape)), features)
        return torch.from_numpy(
            column.astype(np.float32, copy=False).reshape(rows, *features.shape)
        )
    names = tuple(part for name, column in frame.columns.items() for part in _parts(name, column))
    _check_shape(frame, names == features.names, features)
    block, at = np.empty((rows, len(names)), dtype=np.float32), 0
    for column in frame.columns.values():
        width = 1 if column.ndim == 1 else column.shape[1]
        block[:, at : at + width] = column.reshape(rows, width)
        at += width
    return torch.from_numpy(block)


def _check_shape(frame: Frame, same: bool, features: Features) -> None:
    if not same:
        shapes = ", ".join(
            f"`{name}` {list(c.shape[1:])}" for name, c in frame.columns.items() if c.ndim > 1
        )
        raise DataError(
            f"{frame.origin}: {shapes or 'the columns'} give other inputs than the"
            f" {list(features.shape)} of training; bring arrays to that size (`resize`)"
        )


def _check_text(frame: Frame) -> None:
    for kind, remedy in (("text", "`one_hot`, `ordinal` or `drop`"), ("date", "`date` or `drop`")):
        left = frame.named(kind)  # type: ignore[arg-type]
        if left:
            names = ", ".join(f"`{name}`" for name in left[:5]) + (" …" if len(left) > 5 else "")
            raise DataError(
                f"{frame.origin}: {kind}s cannot be inputs: column {names}; add {remedy} to the"
                " transforms"
            )


def _check_finite(frame: Frame, name: str) -> None:
    column = frame[name]
    if (
        np.isfinite(column.sum(dtype=np.float64))
        and np.abs(column).max() <= np.finfo(np.float32).max
    ):
        return
    gaps = frame.missing(name)
    if gaps.any():
        raise DataError(
            f"{frame.origin}: column `{name}`: missing values in {frame.where(gaps)};"
            " fill them, or add `impute` to the transforms (of a model that is trained this means"
            " training it anew)"
        )
    infinite = np.abs(column) > np.finfo(np.float32).max
    if infinite.any():
        raise infinite_values(frame, name, infinite)
