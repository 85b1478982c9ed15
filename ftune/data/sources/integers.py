"""Whole numbers that a float64 does not hold exactly: ids and timestamps beyond 2**53."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ftune.data.frame import Array, Frame

EXACT = 2**53
"""Up to here every whole number is a float64 of its own."""
LARGEST = int(sys.float_info.max)
"""Beyond it a number is read as infinite, which is refused where it is used."""
WRITTEN = re.compile(r"\s*[-+]?\d{1,309}\s*")
"""A whole number of at most as many digits as the largest."""
LONG = 10**30
"""From here on not all digits are shown."""
STORE = "if they are names, store them as text"


def beyond(column: Array) -> bool:
    """Whether a column of numbers reaches where whole numbers are rounded."""
    return bool((np.abs(column[np.isfinite(column)]) >= EXACT).any())


def integer_notes(table: pa.Table) -> dict[str, str]:
    """By column of whole numbers, what becomes of those that are rounded."""
    sentences: dict[str, str] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if _whole(column.type) and _reaches(column):
            values = pc.unique(column).to_pylist()
            sentences |= rounded(name, [int(v) for v in values if v is not None], STORE)
    return sentences


def _whole(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale <= 0))


def _reaches(column: pa.ChunkedArray) -> bool:
    ends = pc.min_max(column).as_py().values()
    return any(end is not None and abs(end) >= EXACT for end in ends)


def notes_of_texts(frame: Frame, read: Callable[[list[str]], pa.Table]) -> dict[str, str]:
    """`integer_notes` of a CSV file; read: gives columns as their texts, which alone tell."""
    names = [name for name in frame.named("number") if beyond(frame[name])]
    return _text_notes(read(names)) if names else {}


def _text_notes(table: pa.Table) -> dict[str, str]:
    sentences: dict[str, str] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        texts = [t for t in pc.unique(column).to_pylist() if t and WRITTEN.fullmatch(t)]
        remedy = f"if they are names, declare `types: {{{name}: text}}`"
        sentences |= rounded(name, {int(text) for text in texts}, remedy)
    return sentences


def array_notes(arrays: dict[str, Array]) -> dict[str, str]:
    """`integer_notes` of the arrays of one number a row."""
    sentences: dict[str, str] = {}
    for name, array in arrays.items():
        if array.dtype.kind in "iu" and array.size == len(array) and beyond(array):
            sentences |= rounded(name, np.unique(array).tolist(), STORE)
    return sentences


def rounded(name: str, integers: Collection[int], remedy: str) -> dict[str, str]:
    """The sentence for the distinct `integers` of a column; nothing where all are exact."""
    finite = [n for n in integers if abs(n) <= LARGEST]
    changed = [n for n in finite if abs(n) > EXACT and int(float(n)) != n]
    if not changed:
        return {}
    merged = len(finite) - len(_floats(finite))
    apart = f", and {merged:,} can no longer be told from another" if merged else ""
    beyond_it = "is rounded, as it lies" if len(changed) == 1 else "are rounded, as they lie"
    return {
        name: f"column `{name}`: {len(changed):,} of {len(integers):,} distinct whole numbers"
        f" {beyond_it} beyond 2**53 ({_example(min(changed))}){apart}; {remedy}."
    }


def _example(number: int) -> str:
    """What becomes of one of them; of a long one only how large it is."""
    return f"{number} to {int(float(number))}" if abs(number) < LONG else f"{number:.3e}"


def _floats(integers: Iterable[int]) -> set[float]:
    return {float(n) for n in integers}
