"""What is wrong with a file that the CSV parser refused, in our words."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from ftune.data.frame import spoken_rows
from ftune.data.sources.csv_form import advice, rows_of
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.sources.csv import Csv


def not_text(encoding: str) -> str:
    return f"not {encoding.upper()}; save it as UTF-8, or name its `encoding` (latin-1, cp1252 …)"


def explained(path: str, message: str, source: Csv) -> DataError:
    """The fault that pyarrow tells in `message`."""
    reason = message.splitlines()[0]
    if "parse error" in reason:
        return _ragged(path, reason, source)
    if "UTF8" in reason or "codec" in reason:
        return DataError(f"{path}: {not_text(source.encoding)}")
    return DataError(f"{path}: not a readable CSV file: {reason}")


def not_a_text(path: str) -> str:
    return f"{path}: not a text file; `source` names its format (parquet, npz …)"


def check_text(path: str, source: Csv) -> None:
    """Raises DataError for a file with zero bytes, which no text has but of 16 or 32 bits."""
    from ftune.data.sources import stream

    with stream.unpacked(path) as file:
        start = file.read(4096)
    wide = any(bits in stream.encoding(path, source.encoding) for bits in ("16", "32"))
    if b"\0" not in start or wide:
        return
    for name, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if zeros.count(0) > len(zeros) / 2 and start.count(0) < 0.6 * len(start):
            raise DataError(
                f"{path}: seems to be UTF-16 without its mark: write `encoding: {name}`"
            )
    raise DataError(not_a_text(path))


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
    return DataError(ragged(path, spoken_rows(odd), width, example, source))


def ragged(path: str, rows: str, width: int, example: str, source: Csv) -> str:
    remedy = advice(path, source, ragged=True)
    remedy = remedy or "add the missing values, or quote those that contain the delimiter"
    return (
        f"{path}: {rows} with another number of values than the {width:,}"
        f" column{'s' if width > 1 else ''}, e.g. {example}; {remedy}"
    )


def beyond(path: str, rows: str) -> str:
    """What is said where the rows end with a delimiter, but in some a value follows it."""
    return f"{path}: {rows} with a value beyond the last named column; name it, or delete it"


def misfit(path: str, name: str, value: str, where: str) -> str:
    return (
        f"{path}: column `{name}` holds {value!r} in {where}, which is not the type that"
        " `types` or the training data says; correct it, or add it to `missing`"
    )
