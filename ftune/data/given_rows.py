"""Rows that a program hands over: mappings, a DataFrame of pandas or polars, an Arrow table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ftune.data.frame import label_text
from ftune.data.sources.jsonl import dumped, is_nested
from ftune.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

ORIGIN = "the given rows"


def given_table(rows: Any, kinds: Mapping[str, str]) -> pa.Table:
    """Rows as an Arrow table; kinds: what each column held in training (Frame.kind).

    Raises DataError, with the row, for a value that does not go with the others of its column.
    """
    import pyarrow as pa

    if isinstance(rows, Mapping):
        raise DataError(f"{ORIGIN}: one mapping; write a list of rows: [{{…}}]")
    if isinstance(rows, Sequence) and not isinstance(rows, str | bytes):
        return _of_mappings(rows, kinds)
    try:
        if hasattr(rows, "iloc"):  # pandas; its index is no column
            return pa.Table.from_pandas(rows, preserve_index=False)
        return _plain_texts(pa.table(rows))
    except (pa.ArrowException, TypeError, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{ORIGIN}: {type(rows).__name__} is not a file, a list of mappings, a DataFrame or an"
            f" Arrow table with one type a column: {reason}"
        ) from None


def _plain_texts(table: pa.Table) -> pa.Table:
    """Texts as polars hands them over (views) as those that everything here knows."""
    import pyarrow as pa

    views = (pa.types.is_string_view, pa.types.is_binary_view)
    for index, field in enumerate(table.schema):
        if any(is_view(field.type) for is_view in views):
            kind = pa.string() if views[0](field.type) else pa.binary()
            table = table.set_column(index, field.name, table.column(index).cast(kind))
    return table


def _of_mappings(rows: Sequence[Any], kinds: Mapping[str, str]) -> pa.Table:
    import pyarrow as pa

    odd = [number for number, row in enumerate(rows, 1) if not isinstance(row, Mapping)]
    if odd:
        kind = type(rows[odd[0] - 1]).__name__
        raise DataError(f"{ORIGIN}: row {odd[0]} is a {kind}, not a mapping of column to value")
    if not rows:
        raise DataError(f"{ORIGIN}: there are none")
    names = dict.fromkeys(str(name) for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return pa.table({name: _column(name, columns[name], kinds) for name in names})


def _column(name: str, values: list[Any], kinds: Mapping[str, str]) -> pa.Array:
    """One column; whole numbers where training had texts are these texts (`7`, not `7.0`)."""
    import pyarrow as pa

    values = [v.item() if hasattr(v, "item") and not hasattr(v, "tolist") else v for v in values]
    values = [v.tolist() if getattr(v, "ndim", 0) > 1 else v for v in values]
    if kinds.get(name) == "text":
        values = [_as_text(v) for v in values]
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, OverflowError):
        raise DataError(f"{ORIGIN}: column `{name}`: {_mixture(values)}") from None


def _as_text(value: Any) -> Any:
    """Numbers as they are written; conversations as JSON, which keeps the keys of each turn."""
    if _is_number(value):
        return label_text(value)
    return dumped(value) if is_nested(value) else value


def _is_number(value: Any) -> bool:
    import numpy as np

    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _mixture(values: Sequence[Any]) -> str:
    """Which row does not go with those before it, in words."""
    import pyarrow as pa

    for number in range(1, len(values) + 1):
        try:
            pa.array(values[:number], from_pandas=True)
        except (pa.ArrowException, OverflowError):
            value = values[number - 1]
            return (
                f"row {number}: {str(value)[:60]!r} ({type(value).__name__}) does not go with the"
                " values above it; use one type a column"
            )
    return "its values are of several types; use one type a column"
