"""What is counted in one column while its blocks go by, and what is said of it at the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ftune.data.found import MOST, Rows
from ftune.data.frame import label_text
from ftune.data.sources.arrow import MIXED_SHARE, NUMBER, mixed

Numbers = npt.NDArray[np.int64]
MOST_CLASSES = 100_000
ENOUGH = 100_000
"""After so many values of which half are no numbers, a column is one of texts."""


def unknown(column: pa.Array) -> npt.NDArray[np.bool_]:
    """[rows] null, or not a number."""
    return np.asarray(pc.is_null(column, nan_is_null=True).to_numpy(zero_copy_only=False))


@dataclass
class Gaps:
    """Rows in which a column is unknown; and, of texts, in which it is blank."""

    missing: Rows = field(default_factory=Rows)
    blank: Rows = field(default_factory=Rows)

    def see(self, column: pa.Array, rows: Numbers) -> None:
        gaps = unknown(column)
        self.missing.add(rows[gaps]) if gaps.any() else None
        if pa.types.is_string(column.type):
            bare = pc.equal(pc.utf8_trim_whitespace(column), "")
            blank = pc.fill_null(bare, False).to_numpy(zero_copy_only=False)
            self.blank.add(rows[blank]) if blank.any() else None


@dataclass
class Numeric:
    """How many texts are numbers, and which are not."""

    known: int = 0
    odd: Rows = field(default_factory=Rows)

    def see(self, column: pa.Array, rows: Numbers) -> None:
        if not pa.types.is_string(column.type) or self._settled:
            return
        known = ~unknown(column)
        self.known += int(known.sum())
        try:
            pc.cast(column, pa.float64())
        except pa.ArrowInvalid:
            good = pc.match_substring_regex(column, NUMBER)
            odd = ~pc.fill_null(good, True).to_numpy(zero_copy_only=False)
            first = column.take(pa.array(np.flatnonzero(odd)[:5]))
            self.odd.add(rows[odd], first.to_pylist())

    @property
    def _settled(self) -> bool:
        return self.known > ENOUGH and self.odd.count > self.known / 2

    @property
    def share(self) -> float:
        return 1 - self.odd.count / self.known if self.known else 0.0

    def fault(self, origin: str, name: str, remedy: str) -> str:
        """Nearly all are numbers: the others look like faults. Empty where they do not."""
        if not self.odd or self.share < MIXED_SHARE:
            return ""
        first = dict(zip(self.odd.first, self.odd.values, strict=True))
        return mixed(origin, name, self.share, self.odd.count, first, remedy)


@dataclass
class Declared:
    """Values that are not of the type that `types` gives the column."""

    kind: str
    odd: Rows = field(default_factory=Rows)

    def see(self, column: pa.Array, rows: Numbers) -> None:
        kind = {"number": pa.float64(), "date": pa.timestamp("s")}.get(self.kind)
        if kind is None or _fits(column, kind):
            return
        values = ((int(row), value) for row, value in zip(rows, column, strict=True))
        odd = [(row, str(value)) for row, value in values if not _fits(pa.array([value]), kind)]
        self.odd.add([row for row, _ in odd], [value for _, value in odd[:5]])


def _fits(column: pa.Array, kind: pa.DataType) -> bool:
    try:
        pc.cast(column, kind)
    except pa.ArrowInvalid:
        return False
    return True


@dataclass
class Classes:
    """How many rows each class has; None where there are too many to be classes."""

    counts: Counter[str] | None = field(default_factory=Counter)

    def see(self, column: pa.Array, rows: Numbers) -> None:  # noqa: ARG002
        if self.counts is None or pa.types.is_nested(column.type):
            return
        for entry in pc.value_counts(column).to_pylist():
            value: Any = entry["values"]
            if value is not None and value == value:
                self.counts[_text(value)] += entry["counts"]
        if len(self.counts) > MOST_CLASSES:
            self.counts = None

    @property
    def rows(self) -> dict[str, int]:
        """By class; as in training, `3.0` and `3` are one where all are numbers."""
        try:
            found: Counter[str] = Counter()
            for text, count in (self.counts or {}).items():
                found[label_text(float(text))] += count
            return found
        except ValueError:
            return dict(self.counts or {})


@dataclass
class Unknown:
    """Rows of classes that the first file does not have; numbers are alike however written."""

    known: frozenset[str]
    odd: Rows = field(default_factory=Rows)
    texts: dict[str, None] = field(default_factory=dict)

    def see(self, column: pa.Array, rows: Numbers) -> None:
        if pa.types.is_nested(column.type):
            return
        odd = [
            (row, text)
            for row, value in zip(rows, column.to_pylist(), strict=True)
            if value is not None and value == value and not self._knows(text := _text(value))
        ]
        self.odd.add([row for row, _ in odd])
        for _, text in odd[: MOST - len(self.texts)]:
            self.texts[text] = None

    def _knows(self, text: str) -> bool:
        if text in self.known:
            return True
        try:
            return label_text(float(text)) in self.known
        except ValueError:
            return False


@dataclass
class Tags:
    """What `each` counts of the tags that stand in one column; their separator."""

    separator: str
    each: Classes | Unknown

    def see(self, column: pa.Array, rows: Numbers) -> None:
        if not pa.types.is_string(column.type):
            column = pa.array([None if v is None else _text(v) for v in column.to_pylist()])
        parts = pc.split_pattern(pc.cast(column, pa.string()), self.separator)
        tags = pc.utf8_trim_whitespace(pc.list_flatten(parts))
        there = pc.not_equal(tags, "")
        owners = rows[pc.list_parent_indices(parts).to_numpy()]
        self.each.see(tags.filter(there), owners[there.to_numpy(zero_copy_only=False)])


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else label_text(value)


@dataclass
class Pictures:
    """Image files that are not there or whose headers are of no image."""

    base: Any
    table: bool
    total: int = 0
    count: int = 0
    shown: list[str] = field(default_factory=list)

    def see(self, column: pa.Array, rows: Numbers) -> None:
        from ftune.data.images.decode import headers
        from ftune.data.images.read import UnusableError

        known = [(row, v) for row, v in zip(rows, column.to_pylist(), strict=True) if v is not None]
        self.total += len(rows)
        files = [self.base / str(value) for _, value in known]
        for (row, value), size in zip(known, headers(files), strict=True):
            if isinstance(size, UnusableError):
                self.count += 1
                where = f"row {row}, " if self.table else ""
                self.shown += [f"{where}{value}: {size}"] if self.count <= 5 else []
