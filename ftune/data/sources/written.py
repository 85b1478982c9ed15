"""What the texts of a CSV column are: numbers or dates in some notation, faults, or names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ftune.data.frame import spoken_rows
from ftune.data.sources.arrow import mixed
from ftune.data.sources.dates import dates, formats, iso
from ftune.data.sources.distinct import Texts, as_strings, distinct, is_text
from ftune.data.sources.notation import Notation, notation_of, readings, share, spelled
from ftune.data.sources.types import kind_of
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.sources.files import TableFile

NEARLY_ALL = 0.95
REMEDY = "correct them, add them to `missing`, or declare `types: {{{name}: text}}`"


@dataclass(frozen=True)
class Way:
    """Settings by which nearly all texts of a column are numbers or dates; null where not."""

    settings: Mapping[str, Any]
    what: str
    values: pa.Array

    @property
    def written(self) -> str:
        return spelled(self.settings)


def ways(name: str, texts: Texts, source: TableFile) -> list[Way]:
    """Every way of reading a column that would be one of texts."""
    if not texts.rows:
        return []
    usual = notation_of(source)
    numbers = readings(texts.values, texts.counts, usual, NEARLY_ALL)
    if numbers:
        return [
            Way(notation.settings(usual, name), "number", notation.numbers(texts.values))
            for notation in numbers
        ]
    if share(texts.values, texts.counts, usual):
        return []
    written = formats(texts.values, texts.counts, NEARLY_ALL)
    return [
        Way({"types": {name: {"date": f} if f else "date"}}, "date", _dates(texts.values, f))
        for f in written
    ]


def fault(origin: str, name: str, texts: Texts, source: TableFile) -> str:
    """What is wrong with a column that would be one of texts; empty where nothing is.

    Nearly all of it are numbers in another notation, or dates; or numbers, but for a few.
    """
    if fitting := ways(name, texts, source):
        return f"{origin}: {other_notation(name, texts, fitting)}"
    usual = notation_of(source)
    part = share(texts.values, texts.counts, usual)
    if source.typed or not NEARLY_ALL <= part < 1:
        return ""
    odd = pc.is_null(usual.numbers(texts.values))
    return mixed(origin, name, part, *texts.where(odd), REMEDY)


def _dates(values: pa.Array, form: str) -> pa.Array:
    return dates(values, form) if form else iso(values)


def other_notation(name: str, texts: Texts, fitting: Sequence[Way]) -> str:
    """What is said of a column: all ways, each with what it makes of one value."""
    i = _example([way.values for way in fitting])
    value, row = texts.values[i].as_py(), texts.first[i].as_py()
    spoken = " or by ".join(f"{way.written} ({_shown(way.values[i])})" for way in fitting)
    good = pc.is_valid(fitting[0].values)
    count = pc.sum(pc.filter(texts.counts, good)).as_py()
    every = f"all {count:,}" if count == texts.rows else f"{count:,} of {texts.rows:,}"
    which = "the one that is meant" if len(fitting) > 1 else "this"
    return (
        f"column `{name}`: {value!r} (row {row}) is no {fitting[0].what} as it stands, but"
        f" {every} values are by {spoken}; write {which} under `data`, or `types: {{{name}:"
        f" text}}` where they are names{_others(texts, good)}"
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


def read_texts(table: pa.Table, path: str, source: TableFile, types: Mapping[str, Any]) -> pa.Table:
    """The table with numbers and dates in the place of texts that are some, as it is set.

    Raises DataError where a declared column holds something else.
    """
    for i, name in enumerate(table.column_names):
        column, declared = table.column(i), types.get(name)
        if not is_text(column.type) or declared == "text":
            continue
        if declared is None and not _asked(source):
            continue
        texts = distinct(column)
        if declared is None and not are_asked(texts, source):
            continue
        values = parsed(texts.values, source, name, declared or "number")
        if not values.null_count:
            places = pc.index_in(as_strings(column), value_set=texts.values)
            table = table.set_column(i, name, values.take(places.combine_chunks()))
        elif declared is not None:
            raise DataError(_misfit(path, name, column, source, declared))
    return table


def _asked(source: TableFile) -> bool:
    """Whether numbers among texts are asked for: of a CSV file, Arrow reads those with a comma."""
    return bool(source.thousands or (source.typed and source.decimal))


def are_asked(texts: Texts, source: TableFile) -> bool:
    """Whether these are such; where a file states its types, plain digits are meant as texts."""
    plain = source.typed and not Notation().numbers(texts.values).null_count
    return _asked(source) and not plain


def misfits(table: pa.Table, path: str, source: TableFile, types: Mapping[str, Any]) -> str:
    """What is wrong in the first column that is not as declared, if one is; all are texts."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name in types and (message := _misfit(path, name, column, source, types[name])):
            return message
    return ""


def parsed(
    values: pa.Array, source: TableFile, name: str, declared: str | Mapping[str, str]
) -> Any:
    """[values] number or date, null where one is not as declared."""
    if kind_of(declared) == "number":
        return notation_of(source, name).numbers(values)
    form = declared["date"] if isinstance(declared, Mapping) else ""
    return _dates(values, form)


def _misfit(path: str, name: str, column: Any, source: TableFile, declared: Any) -> str:
    """Which values of a column of texts are not as declared; empty where all are."""
    kind, texts = kind_of(declared), distinct(column)
    odd = pc.is_null(parsed(texts.values, source, name, declared))
    if kind == "text" or not pc.any(odd).as_py():
        return ""
    rest = texts.only(odd)
    mask = pc.is_in(as_strings(column), value_set=rest.values).to_numpy()
    rows = spoken_rows((np.flatnonzero(mask) + 1).tolist())
    first = rest.values[pc.index(rest.first, pc.min(rest.first)).as_py()].as_py()
    return misfit(path, name, first, rows) + hint(name, rest, source, kind)


def misfit(path: str, name: str, value: str, where: str) -> str:
    return (
        f"{path}: column `{name}` holds {value!r} in {where}, which is not the type that"
        " `types` or the training data says; correct it, or add it to `missing`"
    )


def hint(name: str, texts: Texts, source: TableFile, kind: str) -> str:
    """In which notation such values are numbers or dates; empty where in none."""
    fitting = [way.written for way in ways(name, texts, source)
               if way.what == kind and way.settings != {"types": {name: kind}}]  # fmt: skip
    return f". They are {kind}s by {' or by '.join(fitting)}" if fitting else ""


def text_faults(table: pa.Table, path: str, source: TableFile, types: Collection[str]) -> list[str]:
    """What is wrong with the columns of texts that `types` does not declare."""
    columns = zip(table.column_names, table.columns, strict=True)
    faults = (
        fault(path, name, distinct(column), source)
        for name, column in columns
        if is_text(column.type) and name not in types
    )
    return [said for said in faults if said]
