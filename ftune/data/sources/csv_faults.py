"""What is wrong with a file that the CSV parser refused, in our words."""

from __future__ import annotations

import csv

from ftune.data.frame import spoken_rows
from ftune.data.sources.csv_form import CsvDialect, advice, rows_of
from ftune.errors import DataError


def not_text(encoding: str) -> str:
    return f"not {encoding.upper()}; save it as UTF-8, or name its `encoding` (latin-1, cp1252 …)"


def explained(dialect: CsvDialect, message: str) -> DataError:
    """Return the fault that pyarrow tells in `message`."""
    reason = message.splitlines()[0]
    if "parse error" in reason:
        return _ragged(dialect, reason)
    if "UTF8" in reason or "codec" in reason:
        return DataError(f"{dialect.path}: {not_text(dialect.encoding)}")
    return DataError(f"{dialect.path}: not a readable CSV file: {reason}")


def _ragged(dialect: CsvDialect, reason: str) -> DataError:
    """Name the rows that are longer or shorter than the header."""
    width, odd, example = 0, [], ""
    try:
        for number, row in enumerate(rows_of(dialect)):
            width = width or len(row)
            if len(row) != width:
                odd.append(number)
                example = example or f"{len(row)}: `{dialect.delimiter.join(row)[:80]}`"
    except csv.Error:
        odd = []
    if not odd:
        return DataError(f"{dialect.path}: not a readable CSV file: {reason}")
    return DataError(ragged(dialect, spoken_rows(odd), width, example))


def ragged(dialect: CsvDialect, rows: str, width: int, example: str) -> str:
    remedy = advice(dialect, ragged=True)
    remedy = remedy or "add the missing values, or quote those that contain the delimiter"
    return (
        f"{dialect.path}: {rows} with another number of values than the {width:,}"
        f" column{'s' if width > 1 else ''}, e.g. {example}; {remedy}"
    )


def beyond(path: str, rows: str) -> str:
    """Say that the rows end with a delimiter, but in some a value follows it."""
    return f"{path}: {rows} with a value beyond the last named column; name it, or delete it"
