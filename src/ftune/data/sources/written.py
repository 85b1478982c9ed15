"""What the texts of a CSV column are: numbers or dates in some notation, faults, or names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ftune.data.found import MOST
from ftune.data.frame import spoken_rows
from ftune.data.sources.arrow import mixed
from ftune.data.sources.csv_faults import misfit
from ftune.data.sources.dates import dates, formats, iso
from ftune.data.sources.notation import notation_of, readings, share
from ftune.data.sources.types import kind_of
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.sources.csv import Csv

NEARLY_ALL = 0.95
REMEDY = "correct them, add them to `missing`, or declare `types: {{{name}: text}}`"


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
        {"text": pc.filter(_plain(column), known), "row": pa.array(rows).filter(known)}
    )
    sums = table.group_by("text", use_threads=False).aggregate([("row", "count"), ("row", "min")])
    values, counts, first = (
        sums[name].combine_chunks() for name in ("text", "row_count", "row_min")
    )
    return Texts(values, counts, first)


def _plain(column: Any) -> Any:
    return pc.cast(column, pa.string()) if pa.types.is_dictionary(column.type) else column


def is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind))


def fault(origin: str, name: str, texts: Texts, source: Csv) -> str:
    """What is wrong with a column that would be one of texts; empty where nothing is.

    Nearly all of it are numbers in another notation, or dates; or numbers, but for a few.
    """
    if not texts.rows:
        return ""
    usual = notation_of(source)
    numbers = readings(texts.values, texts.counts, usual, NEARLY_ALL)
    if numbers:
        ways = {n.settings(usual, name): n.numbers(texts.values) for n in numbers}
        return _other_notation(origin, name, "number", texts, ways)
    part = share(texts.values, texts.counts, usual)
    if NEARLY_ALL <= part < 1:
        odd = pc.is_null(usual.numbers(texts.values))
        return mixed(origin, name, part, *texts.where(odd), REMEDY)
    written = [] if part else formats(texts.values, texts.counts, NEARLY_ALL)
    ways = {_date_setting(name, form): _dates(texts.values, form) for form in written}
    return _other_notation(origin, name, "date", texts, ways) if ways else ""


def _date_setting(name: str, form: str) -> str:
    return f'`types: {{{name}: {{date: "{form}"}}}}`' if form else f"`types: {{{name}: date}}`"


def _dates(values: pa.Array, form: str) -> pa.Array:
    return dates(values, form) if form else iso(values)


def _other_notation(
    origin: str, name: str, what: str, texts: Texts, ways_to: Mapping[str, pa.Array]
) -> str:
    """ways_to: what the distinct texts are by each setting that would read them."""
    i = _example(list(ways_to.values()))
    row, value = texts.first[i].as_py(), texts.values[i].as_py()
    ways = " or by ".join(f"{said} ({_shown(values[i])})" for said, values in ways_to.items())
    good = pc.is_valid(next(iter(ways_to.values())))
    count = pc.sum(pc.filter(texts.counts, good)).as_py()
    every = f"all {count:,}" if count == texts.rows else f"{count:,} of {texts.rows:,}"
    which = "the one that is meant" if len(ways_to) > 1 else "this"
    return (
        f"{origin}: column `{name}`: {value!r} (row {row}) is no {what} as it stands, but {every}"
        f" values are by {ways}; write {which} under `data`, or `types: {{{name}: text}}` where"
        f" they are names{_others(texts, good)}"
    )


def _others(texts: Texts, good: pa.Array) -> str:
    """What to do with the few values that no setting reads."""
    count, first = texts.where(pc.invert(good))
    shown = ", ".join(f"row {row}: {value!r}" for row, value in first.items())
    more = ", …" if count > len(first) else ""
    return f"; correct the rest ({shown}{more}) or add it to `missing`" if count else ""


def _example(parsed: list[pa.Array]) -> int:
    """The first text that each setting reads as something else, or that all of them read."""
    table = [column.to_pylist() for column in parsed]
    rows = [i for i, values in enumerate(zip(*table, strict=True)) if None not in values]
    apart = (i for i in rows if len({column[i] for column in table}) == len(table))
    return next(apart, rows[0] if rows else 0)


def _shown(value: pa.Scalar) -> str:
    plain = value.as_py()
    return f"{plain:.15g}" if isinstance(plain, float) else str(plain).removesuffix(" 00:00:00")


def read_texts(table: pa.Table, path: str, source: Csv, types: Mapping[str, Any]) -> pa.Table:
    """The table with numbers and dates in the place of texts that are some, as it is set.

    Raises DataError where a declared column holds something else.
    """
    for i, name in enumerate(table.column_names):
        column, declared = table.column(i), types.get(name)
        if not is_text(column.type) or declared == "text":
            continue
        if declared is None and not source.thousands:
            continue
        texts = distinct(column)
        values = parsed(texts.values, source, name, declared or "number")
        if not values.null_count:
            places = pc.index_in(_plain(column), value_set=texts.values)
            table = table.set_column(i, name, values.take(places.combine_chunks()))
        elif declared is not None:
            raise DataError(_misfit(path, name, column, source, declared))
    return table


def misfits(table: pa.Table, path: str, source: Csv, types: Mapping[str, Any]) -> str:
    """What is wrong in the first column that is not as declared; `table` has all as texts."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name in types and (said := _misfit(path, name, column, source, types[name])):
            return said
    return f"{path}: a column is not what `types` says"


def parsed(values: pa.Array, source: Csv, name: str, declared: str | Mapping[str, str]) -> Any:
    """[values] number or date, null where one is not as declared."""
    if kind_of(declared) == "number":
        return notation_of(source, name).numbers(values)
    form = declared["date"] if isinstance(declared, Mapping) else ""
    return _dates(values, form)


def _misfit(path: str, name: str, column: Any, source: Csv, declared: Any) -> str:
    """Which values of a column of texts are not as declared; empty where all are."""
    kind, texts = kind_of(declared), distinct(column)
    odd = pc.is_null(parsed(texts.values, source, name, declared))
    if kind == "text" or not pc.any(odd).as_py():
        return ""
    rest = texts.only(odd)
    mask = pc.is_in(_plain(column), value_set=rest.values).to_numpy()
    rows = spoken_rows((np.flatnonzero(mask) + 1).tolist())
    first = rest.values[pc.index(rest.first, pc.min(rest.first)).as_py()].as_py()
    return misfit(path, name, first, rows) + hint(name, rest, source, kind)


def hint(name: str, texts: Texts, source: Csv, kind: str) -> str:
    """In which notation such values are numbers or dates; empty where in none."""
    usual = notation_of(source)
    if kind == "number":
        others = readings(texts.values, texts.counts, usual, NEARLY_ALL)
        fitting = [other.settings(usual, name) for other in others]
    else:
        written = formats(texts.values, texts.counts, NEARLY_ALL) if kind == "date" else []
        fitting = [_date_setting(name, form) for form in written if form]
    return f". They are {kind}s by {' or by '.join(fitting)}" if fitting else ""


def text_faults(table: pa.Table, path: str, source: Csv, types: Mapping[str, Any]) -> list[str]:
    """What is wrong with the columns of texts that `types` does not declare."""
    columns = zip(table.column_names, table.columns, strict=True)
    found = (
        fault(path, name, distinct(column), source)
        for name, column in columns
        if is_text(column.type) and name not in types
    )
    return [said for said in found if said]
