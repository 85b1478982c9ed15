"""Columns of files that state their types (JSON, Parquet), as `types` and notations have them."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ftune.data.frame import exists
from ftune.data.row_report import list_faults
from ftune.data.sources.distinct import is_text
from ftune.data.sources.types import kind_of
from ftune.data.sources.written import read_texts, text_faults
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.sources.files import TableFile


def as_declared(
    table: pa.Table, path: str, source: TableFile, known: Collection[str] | None = None
) -> pa.Table:
    """The table with its texts read, and numbers as the texts that `types` declares.

    known: columns of which no text is doubted; None: no column's is. Raises DataError.
    """
    faults = undeclarable(table.schema, path, source, known is not None)
    for name in [name for name, kind in source.types.items() if kind == "text" and not faults]:
        if name in table.column_names and not is_text(table[name].type):
            texts = pc.cast(table[name], pa.string())
            table = table.set_column(table.column_names.index(name), name, texts)
    table = table if faults else read_texts(table, path, source, source.types)
    if known is not None and not faults:
        faults = text_faults(table, path, source, {*known, *source.types})
    if faults:
        raise DataError(list_faults(faults))
    return table


def undeclarable(schema: pa.Schema, path: str, source: TableFile, named: bool) -> list[str]:
    """What `types` says of columns that cannot become that; `named`: those have to be there."""
    faults = unknown_types(list(schema.names), path, source) if named else []
    fields = [schema.field(name) for name in source.types if name in schema.names]
    messages = (unstated(path, field.name, field.type, source) for field in fields)
    return faults + [fault for fault in messages if fault]


def unstated(path: str, name: str, held: pa.DataType, source: TableFile) -> str:
    """What is wrong where `types` says of a column what its values cannot become."""
    kind = kind_of(source.types[name])
    if _becomes(held, kind):
        return ""
    return (
        f"{path}: `types` says {kind} of column `{name}`, whose values the file states to be"
        f" {held}; leave it out of `types`"
    )


def unknown_types(names: list[str], path: str, source: TableFile) -> list[str]:
    """Names in `types` that are no columns."""
    unknown = [name for name in source.types if name not in names]
    return [
        f"{path}: `types` names `{name}`, which is no column; {exists(name, names)}"
        for name in unknown
    ]


def _becomes(held: pa.DataType, kind: str) -> bool:
    """Texts become all; numbers, truths and dates stay what they are, or become texts."""
    if pa.types.is_nested(held) or pa.types.is_binary(held):
        return False
    date = pa.types.is_temporal(held)
    plain = is_text(held) or pa.types.is_null(held) or kind == "text"
    return plain or (kind == "date") == date
