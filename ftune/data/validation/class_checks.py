"""Check the values of targets and images while the blocks of a file go by."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ftune.data.frame import label_text
from ftune.data.row_report import MOST, RowReport
from ftune.data.spellings import merged, places

Numbers = npt.NDArray[np.int64]
MOST_CLASSES = 100_000


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
        """By class, in one spelling each, as in training."""
        counts = self.counts or Counter[str]()
        changes, totals = merged(counts, numbers=True), Counter[str]()
        for text, count in counts.items():
            totals[changes.get(text, text)] += count
        return totals


@dataclass
class Unknown:
    """RowReport of classes that the first file does not have, however they are written."""

    known: tuple[str, ...]
    odd: RowReport = field(default_factory=RowReport)
    texts: dict[str, None] = field(default_factory=dict)

    def see(self, column: pa.Array, rows: Numbers) -> None:
        if pa.types.is_nested(column.type):
            return
        values = [None if v is None or v != v else _text(v) for v in column.to_pylist()]
        texts = np.array(values, dtype=object)
        odd = self._unlike(texts) & (texts != None)  # noqa: E711
        self.odd.add(rows[odd])
        for text in texts[odd][: MOST - len(self.texts)]:
            self.texts[text] = None

    def _unlike(self, texts: Any) -> Any:
        return places(texts, self.known, numbers=True) < 0


class NoLabels(Unknown):
    """RowReport that are neither 0 nor 1."""

    def _unlike(self, texts: Any) -> Any:
        return np.array([str(text).lower() not in self.known for text in texts], dtype=bool)


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
