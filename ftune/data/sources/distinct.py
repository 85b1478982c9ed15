"""The distinct texts of a column, counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ftune.data.row_report import MOST


@dataclass(frozen=True)
class Texts:
    """The distinct values of a column, with how many rows have each, and the first of them."""

    values: pa.Array
    counts: pa.Array
    first: pa.Array

    @property
    def rows(self) -> int:
        return int(pc.sum(self.counts).as_py() or 0)

    def only(self, mask: pa.Array) -> Texts:
        """Those that `mask` marks."""
        return Texts(*(pc.filter(part, mask) for part in (self.values, self.counts, self.first)))

    def times(self, factor: float) -> Texts:
        """As if there were so many more rows of each."""
        return Texts(
            self.values, pc.cast(pc.multiply(self.counts, factor), "int64", False), self.first
        )

    def joined(self, other: Texts) -> Texts:
        """Those of both, each once."""
        parts = [pa.table({"t": t.values, "n": t.counts, "r": t.first}) for t in (self, other)]
        sums = pa.concat_tables(parts).group_by("t", use_threads=False)
        table = sums.aggregate([("n", "sum"), ("r", "min")])
        return Texts(*(table[name].combine_chunks() for name in ("t", "n_sum", "r_min")))

    def where(self, mask: pa.Array) -> tuple[int, dict[int, str]]:
        """How many rows `mask` marks, and the first five values by their row."""
        chosen = [pc.filter(part, mask) for part in (self.counts, self.first, self.values)]
        order = pc.sort_indices(chosen[1])[:MOST]
        pairs = zip(chosen[1].take(order), chosen[2].take(order), strict=True)
        return pc.sum(chosen[0]).as_py() or 0, {row.as_py(): v.as_py() for row, v in pairs}


def distinct(column: pa.ChunkedArray | pa.Array, rows: Any = None) -> Texts:
    """The texts of a column; rows: the number of each row, None: from 1."""
    rows = np.arange(1, len(column) + 1) if rows is None else rows
    known = pc.is_valid(column)
    table = pa.table(
        {"text": pc.filter(as_strings(column), known), "row": pa.array(rows).filter(known)}
    )
    sums = table.group_by("text", use_threads=False).aggregate([("row", "count"), ("row", "min")])
    values, counts, first = (
        sums[name].combine_chunks() for name in ("text", "row_count", "row_min")
    )
    return Texts(values, counts, first)


def as_strings(column: Any) -> Any:
    return column if pa.types.is_string(column.type) else pc.cast(column, pa.string())


def is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
