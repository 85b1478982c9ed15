"""Columns of new rows as they were given, to stand beside the predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ftune.data.frame import Array, Frame, exists
from ftune.data.target import are_numbers, as_number
from ftune.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

Columns = dict[str, list[Any]]
TRUTH = "{}/true"
"""The name of a target's own values, where its prediction bears the target's name."""


def beside(
    given: Mapping[str, Any], made: Mapping[str, Any], truths: Sequence[str] = ()
) -> dict[str, Any]:
    """Columns that were given and predictions, each under a name of its own.

    truths: targets of which `made` has the predictions. Of others what `made` repeats stands once.
    """
    named: dict[str, Any] = {}
    for name, values in given.items():
        if name in truths:
            named[TRUTH.format(name)] = values
        elif name not in made or list(made[name]) != values:
            named[f"{name} (given)" if name in made else name] = values
    return named | dict(made)


def truth_note(name: str) -> str:
    return f"`{name}` holds the predictions, `{TRUTH.format(name)}` what the input says of it."


def written(reader: Any, path: str, frame: Frame, names: Sequence[str]) -> Columns:
    """The columns of a file, nothing changed in them: from its reader where that can tell."""
    check_names(frame, names)
    if not names:
        return {}
    table = reader.written(path, list(names))
    if table is not None:
        return of_table(table, names, as_texts=not reader.typed)
    return {name: plain_values(frame[name]) for name in names}


def as_given(rows: Any, table: pa.Table, names: Sequence[str]) -> Columns:
    """The columns of rows of a program: its own values; of other tables those of Arrow's."""
    if isinstance(rows, Sequence):
        return {name: [row.get(name) for row in rows] for name in names}
    return of_table(table, names)


def of_table(table: pa.Table, names: Sequence[str], as_texts: bool = False) -> Columns:
    """as_texts: the table holds texts only, of which some columns are numbers."""
    columns = {name: table.column(name).to_pylist() for name in names}
    if as_texts:
        return {name: _numbers(values) for name, values in columns.items()}
    return {
        name: [None if value != value else value for value in values]
        for name, values in columns.items()
    }


def check_names(frame: Frame, names: Sequence[str]) -> None:
    """Raises DataError for a column that is not there."""
    for name in names:
        if name not in frame.columns:
            raise DataError(
                f"{frame.origin}: keep: no column `{name}`; {exists(name, frame.columns)}"
            )


def _numbers(texts: list[str | None]) -> list[Any]:
    """Numbers where writing them again gives the same texts (not `007`), else the texts."""
    known = [text for text in texts if text is not None]
    if not are_numbers(known, "text", typed=False):
        return list(texts)
    return [None if text is None else as_number(text) for text in texts]


def plain_values(column: Array) -> list[Any]:
    """A column of a Frame as plain values; whole numbers without a point."""
    if column.dtype.kind == "M":
        return [None if np.isnat(value) else str(value) for value in column]
    values: list[Any] = column.tolist()
    if column.ndim > 1 or column.dtype.kind != "f":
        return values
    whole = bool(np.all(np.isnan(column) | (np.floor(column) == column)))
    return [None if v != v else int(v) if whole and abs(v) < 2**53 else v for v in values]
