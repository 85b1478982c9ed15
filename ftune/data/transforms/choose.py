"""Which columns a transform works on, and the values it may learn from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from ftune.data.frame import Array, Frame, Kind, State, any_in_row
from ftune.errors import DataError


def chosen(frame: Frame, columns: Collection[str] | None, *kinds: Kind) -> list[str]:
    """The columns named, or by default every column of these kinds."""
    if columns is None:
        return frame.named(*kinds)
    return [name for name in dict.fromkeys(columns) if frame[name] is not None]


def fit_each(
    names: Sequence[str], prior: State | None, fit: Callable[[str], dict[str, Any]]
) -> State:
    """The statistics of each column: those of `prior` where it has the column, else fitted."""
    return {name: prior[name] if prior and name in prior else fit(name) for name in names}


def numbers(frame: Frame, name: str) -> Array:
    """The values of a numeric column: float64 [rows], or float32 [rows, …] of an array."""
    kind = frame.kind(name)
    if kind in ("text", "date"):
        remedy = "one_hot or ordinal" if kind == "text" else "date"
        raise DataError(
            f"{frame.origin}: column `{name}` holds {kind}s, not numbers; use {remedy} first"
        )
    return frame[name] if kind == "array" else frame[name].astype(np.float64)


def known(frame: Frame, name: str) -> Array:
    """The values that are not missing, flat float64. Raises DataError: none, or too far apart."""
    values = numbers(frame, name)
    infinite: Array = np.isinf(values)
    if infinite.any():
        raise infinite_values(frame, name, infinite)
    flat: Array = values[~np.isnan(values)].astype(np.float64)
    if not flat.size:
        raise nothing_known(frame, name)
    low, high = float(flat.min()), float(flat.max())
    if high - low == np.inf:
        raise DataError(
            f"{frame.origin}: column `{name}`: from {low:g} to {high:g} is more than a float64"
            f" holds; write it in a larger unit, or add `drop: [{name}]` to the transforms"
        )
    return flat


def enumerated(parts: Sequence[str], most: int = 20) -> str:
    """The first `most` of `parts` with commas between, and how many there are in all."""
    return ", ".join(parts[:most]) + (f" … ({len(parts):,} in all)" if len(parts) > most else "")


def sentence(intro: str, parts: Sequence[str], end: str = ".") -> list[str]:
    """`intro: a, b.`, or nothing where there are no parts."""
    return [f"{intro}: {enumerated(parts)}{end}"] if parts else []


def infinite_values(frame: Frame, name: str, mask: Array) -> DataError:
    where = frame.where(any_in_row(mask))
    return DataError(
        f"{frame.origin}: column `{name}`: infinite values in {where}; correct them, or write"
        " them as missing (csv: `missing: [inf, -inf, …]`) and `impute`"
    )


def nothing_known(frame: Frame, name: str) -> DataError:
    return DataError(
        f"{frame.origin}: column `{name}` has no known value in the {len(frame):,} training rows;"
        f" add `drop: [{name}]` to the transforms"
    )
