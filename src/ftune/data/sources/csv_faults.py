"""What is wrong with a file that the CSV parser refused, in our words."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ftune.data.frame import spoken_rows
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.sources.csv import Csv


def not_text(encoding: str) -> str:
    return f"not {encoding.upper()}; save it as UTF-8, or name its `encoding` (latin-1, cp1252 …)"


def explained(path: str, message: str, source: Csv) -> DataError:
    """The fault that pyarrow tells in `message`."""
    reason = message.splitlines()[0]
    if _is_binary(path, source):
        return DataError(f"{path}: not a text file; `source` names its format (parquet, npz …)")
    if "parse error" in reason:
        return _ragged(path, reason, source)
    if "conversion error to" in reason:
        return _misfit(path, reason, source)
    if "UTF8" in reason or "codec" in reason:
        return DataError(f"{path}: {not_text(source.encoding)}")
    return DataError(f"{path}: not a readable CSV file: {reason}")


def _is_binary(path: str, source: Csv) -> bool:
    with Path(path).open("rb") as file:
        return (
            b"\0" in file.read(4096) and "16" not in source.encoding and "32" not in source.encoding
        )


def _rows(path: str, source: Csv) -> Iterator[list[str]]:
    """The rows of the file without empty lines, the header first."""
    with Path(path).open(encoding=source.encoding, errors="replace", newline="") as file:
        rows = csv.reader(file, delimiter=source.separator(path), quotechar=source.quote)
        yield from ([source.header] if source.header else [])
        yield from (row for row in rows if row)


def _ragged(path: str, reason: str, source: Csv) -> DataError:
    """Names the rows that are longer or shorter than the header."""
    width, odd, example = 0, [], ""
    try:
        for number, row in enumerate(_rows(path, source)):
            width = width or len(row)
            if len(row) != width:
                odd.append(number)
                example = example or f"{len(row)}: `{source.separator(path).join(row)[:80]}`"
    except csv.Error:
        odd = []
    if not odd:
        return DataError(f"{path}: not a readable CSV file: {reason}")
    return DataError(
        f"{path}: {spoken_rows(odd)} with another number of values than the {width} columns, e.g."
        f" {example}; add the missing values, or quote those that contain the delimiter"
    )


def _misfit(path: str, reason: str, source: Csv) -> DataError:
    """Names the rows that hold the value which is not of its declared type."""
    found = re.search(r"column #(\d+).*invalid value '(.*)'", reason)
    if not found:
        return DataError(f"{path}: a column is not what `types` says: {reason}")
    column, value = int(found[1]), found[2]
    header = next(_rows(path, source))
    at = [
        i for i, row in enumerate(_rows(path, source)) if i and row[column : column + 1] == [value]
    ]
    where = spoken_rows(at) if at else "some row"
    return DataError(
        f"{path}: column `{header[column]}` holds {value!r} in {where}, which is not the type that"
        " `types` or the training data says; correct it, or add it to `missing`"
    )
