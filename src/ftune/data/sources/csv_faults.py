"""What is wrong with a file that the CSV parser refused, in our words."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ftune.data.frame import spoken_rows
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.sources.csv import Csv

MOST_LINE = 16_000_000


def not_text(encoding: str) -> str:
    return f"not {encoding.upper()}; save it as UTF-8, or name its `encoding` (latin-1, cp1252 …)"


def explained(path: str, message: str, source: Csv) -> DataError:
    """The fault that pyarrow tells in `message`."""
    reason = message.splitlines()[0]
    if is_binary(path, source):
        return DataError(not_a_text(path))
    if "parse error" in reason:
        return _ragged(path, reason, source)
    if "UTF8" in reason or "codec" in reason:
        return DataError(f"{path}: {not_text(source.encoding)}")
    return DataError(f"{path}: not a readable CSV file: {reason}")


def not_a_text(path: str) -> str:
    return f"{path}: not a text file; `source` names its format (parquet, npz …)"


def is_binary(path: str, source: Csv) -> bool:
    with Path(path).open("rb") as file:
        return (
            b"\0" in file.read(4096) and "16" not in source.encoding and "32" not in source.encoding
        )


def width(path: str, source: Csv) -> int:
    """About how many columns there are: delimiters of the first line, and one."""
    if source.header:
        return len(source.header)
    with Path(path).open("rb") as file:
        return file.readline(MOST_LINE).count(source.separator(path).encode()) + 1


def _lines(file: TextIO) -> Iterator[str]:
    """The lines, of which none may be endless."""
    for line in iter(lambda: file.readline(MOST_LINE), ""):
        if len(line) == MOST_LINE:
            raise csv.Error(f"a line of more than {MOST_LINE:,} characters")
        yield line


def rows_of(path: str, source: Csv) -> Iterator[list[str]]:
    """The rows of the file without empty lines, the header first. Raises csv.Error."""
    with Path(path).open(encoding=source.encoding, errors="replace", newline="") as file:
        rows = csv.reader(_lines(file), delimiter=source.separator(path), quotechar=source.quote)
        yield from ([source.header] if source.header else [])
        yield from (row for row in rows if row)


def _ragged(path: str, reason: str, source: Csv) -> DataError:
    """Names the rows that are longer or shorter than the header."""
    width, odd, example = 0, [], ""
    try:
        for number, row in enumerate(rows_of(path, source)):
            width = width or len(row)
            if len(row) != width:
                odd.append(number)
                example = example or f"{len(row)}: `{source.separator(path).join(row)[:80]}`"
    except csv.Error:
        odd = []
    if not odd:
        return DataError(f"{path}: not a readable CSV file: {reason}")
    return DataError(ragged(path, spoken_rows(odd), width, example))


def ragged(path: str, rows: str, width: int, example: str) -> str:
    return (
        f"{path}: {rows} with another number of values than the {width} columns, e.g. {example};"
        " add the missing values, or quote those that contain the delimiter"
    )


def misfit(path: str, name: str, value: str, where: str) -> str:
    return (
        f"{path}: column `{name}` holds {value!r} in {where}, which is not the type that"
        " `types` or the training data says; correct it, or add it to `missing`"
    )
