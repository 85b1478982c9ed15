"""How a CSV file is laid out: where its header stands, and which columns its rows have."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TextIO

from ftune.errors import DataError

MOST_LINE = 16_000_000
DELIMITERS = ";\t|,"
LOOKED_AT = 200
"""Lines from which the delimiter and the place of the header are guessed, for a message."""
ALIKE = 0.95
MEASURED = r"[^A-Za-z]*\d[^A-Za-z]*"
"""A number in any notation."""


@dataclass(frozen=True)
class CsvDialect:
    """How one CSV file is written; `skip` lines stand above the header, which may be given."""

    path: str
    delimiter: str
    quote: str
    encoding: str
    skip: int
    header: tuple[str, ...] | None


@dataclass(frozen=True)
class Form:
    """names: of the columns. closing: how many delimiters end each row, with nothing after them.
    lines: of the file, up to the header and with it. whole: Arrow finds the header as it is."""

    names: list[str]
    closing: int
    lines: int
    whole: bool

    @property
    def block_size(self) -> int:
        """Bytes that hold hundreds of rows: Arrow makes an array of each column of each block."""
        return min(max(2**20, 2**12 * len(self.keys)), 2**26)

    @property
    def keys(self) -> list[str]:
        """A name for all that stands in a row; none of the closing ones is one of a column."""
        return [*self.names, *("\0" * (i + 1) for i in range(self.closing))]


def form_of(dialect: CsvDialect) -> Form:
    """From the header and the first row. Raises DataError for what is no text, or has no header."""
    from ftune.data.sources.arrow import empty
    from ftune.data.sources.stream import check_text

    path = dialect.path
    check_text(path, dialect.encoding)
    try:
        with _reader(dialect) as reader:
            rows = (row for row in reader if row)
            header = list(dialect.header or next(rows))
            lines = dialect.skip + (0 if dialect.header else reader.line_num)
            first = _next(rows) or header
    except StopIteration:
        if dialect.skip:
            raise DataError(f"{path}: no line is left after `skip: {dialect.skip}`") from None
        raise DataError(empty(path)) from None
    except csv.Error as error:
        raise DataError(f"{path}: not a readable CSV file: {error}") from None
    bare = header[: _last(header)]
    if bare and len(first) >= len(bare) and (first is header or not any(first[len(bare) :])):
        closing = len(first) - len(bare)
        return Form(bare, closing, lines, whole=not closing and bare == header)
    return Form(header, 0, lines, whole=True)


def header_of(dialect: CsvDialect) -> list[str]:
    """The names in it; none where there is no header to read."""
    try:
        return form_of(dialect).names
    except DataError:
        return []


def _next(rows: Iterator[list[str]]) -> list[str] | None:
    try:
        return next(rows, None)
    except csv.Error:  # a field beyond what Python's reader takes; Arrow reads it
        return None


def _last(header: Sequence[str]) -> int:
    """How many names there are without the empty ones at the end."""
    return max((i for i, name in enumerate(header, 1) if name), default=0)


@contextmanager
def _reader(dialect: CsvDialect) -> Iterator[Any]:
    from ftune.data.sources import stream

    path = dialect.path
    try:
        file = stream.text(path, dialect.encoding)
    except LookupError:
        raise DataError(f"{path}: `{dialect.encoding}` is not a known `encoding`") from None
    with file:
        lines = islice(_lines(file), dialect.skip, None)
        delimiter = dialect.delimiter
        yield csv.reader(lines, delimiter=delimiter, quotechar=dialect.quote)


def _lines(file: TextIO) -> Iterator[str]:
    """The lines, of which none may be endless."""
    for line in iter(lambda: file.readline(MOST_LINE), ""):
        if len(line) == MOST_LINE:
            raise csv.Error(f"a line of more than {MOST_LINE:,} characters")
        yield line


def rows_of(dialect: CsvDialect) -> Iterator[list[str]]:
    """The rows of the file without empty lines, the header first. Raises csv.Error."""
    with _reader(dialect) as reader:
        yield from ([list(dialect.header)] if dialect.header else [])
        yield from (row for row in reader if row)


def skipped_row(dialect: CsvDialect) -> list[str]:
    """The first of the lines that `skip` leaves out that has a value for each name of `header`."""
    if not dialect.skip or not dialect.header:
        return []
    with _reader(replace(dialect, skip=0)) as reader:
        rows = (row for row in reader if len(row) == len(dialect.header))
        first = _next(rows) or []
        return first if reader.line_num <= dialect.skip else []


def advice(dialect: CsvDialect, ragged: bool) -> str:
    """What to write for a better layout, in words; empty where nothing is better."""
    changes = layout(dialect, ragged)
    delimiter, skip = changes.get("delimiter"), changes.get("skip")
    parts = {}
    if delimiter:
        spoken = "\\t" if delimiter == "\t" else delimiter
        parts[f'delimiter: "{spoken}"'] = f'the delimiter seems to be "{spoken}"'
    if skip:
        parts[f"skip: {skip}"] = f"the header seems to stand in line {skip + 1}"
    message = f"{' and '.join(parts.values())}: write {' and '.join(f'`{key}`' for key in parts)}"
    return message if parts else ""


def layout(dialect: CsvDialect, ragged: bool) -> dict[str, Any]:
    """Another `delimiter`, or `skip` for a header further down, that gives rows of one width.

    ragged: the rows differ in width; else they have one column. Empty where nothing is better.
    """
    from ftune.data.sources import stream

    with stream.text(dialect.path, dialect.encoding) as file:
        lines = list(islice(_lines(file), dialect.skip, dialect.skip + LOOKED_AT))
    own = dialect.delimiter
    above = {d: _above(lines, d, dialect) for d in (own, *DELIMITERS)}
    if ragged and above[own] == 0:
        return {}
    at_once = [d for d in DELIMITERS if d != own and above[d] == 0]
    below = [d for d in above if above[d]] if ragged and not dialect.header else []
    titled = [d for d in DELIMITERS if not ragged and d != own and d in (lines or [""])[0]]
    filled = [own] if not ragged and above[own] and not dialect.header else []
    for delimiter in (*at_once, *below, *titled, *filled):
        skip = above[delimiter]
        changes: dict[str, Any] = {} if delimiter == own else {"delimiter": delimiter}
        return changes | ({"skip": dialect.skip + skip} if skip else {})
    return {}


def _above(lines: Sequence[str], delimiter: str, dialect: CsvDialect) -> int | None:
    """Lines above the header where nearly all rows from it on have its width; None: they do not."""
    rows, before = list[tuple[int, list[str]]](), 0
    reader = csv.reader(lines, delimiter=delimiter, quotechar=dialect.quote)
    try:
        for row in reader:
            rows += [(before, row)] if row else []
            before = reader.line_num
    except csv.Error:
        return None
    widths = [len(row) for _, row in rows]
    width = Counter(widths).most_common(1)[0][0] if widths else 1
    first = widths.index(width) if widths else 0
    first += _titles([row for _, row in rows[first:]]) if width > 1 else 0
    if width < 2 or widths[first:].count(width) < ALIKE * len(widths[first:]):
        return None
    above, header = rows[first]
    return above if first == 0 or _is_header(header) else None


def _titles(rows: Sequence[Sequence[str]]) -> int:
    """How many rows at the top are lines above the header, filled up with delimiters.

    At most half of their fields hold something; the next row is a header, as all of its fields do
    and a column below holds numbers.
    """
    filled = [sum(value.strip() != "" for value in row) for row in rows]
    line = next((i for i, count in enumerate(filled) if 2 * count > len(rows[i])), 0)
    header, below = rows[line] if rows else [], rows[line + 1 :]
    numbers = (
        all(re.fullmatch(MEASURED, row[i]) for row in below if len(row) == len(header))
        for i in range(len(header))
    )
    whole = line and filled[line] == len(header) and _is_header(header)
    return line if whole and below and any(numbers) else 0


def _is_header(row: Sequence[str]) -> bool:
    return len(set(row)) == len(row) and not any(_is_number(value) for value in row)


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
