"""A CSV file block by block, every value as the bytes that stand there."""

from __future__ import annotations

import csv as python_csv
import sys
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ftune.data.found import Rows
from ftune.data.sources import csv_faults
from ftune.data.sources.arrow import check_width, decodes, doubled, empty, existing, not_utf8
from ftune.data.spellings import plain_names
from ftune.data.survey.blocks import Block, File
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.sources.csv import Csv

MOST_RAGGED = 100_000
"""So many rows of another width, and the rest is not read: it is not this kind of file."""


def of_csv(path: str, source: Csv) -> File:
    """Raises DataError for what is no text in this encoding, or has no header."""
    existing(path)
    check_width(path, csv_faults.width(path, source))
    if csv_faults.is_binary(path, source):
        raise DataError(csv_faults.not_a_text(path))
    names = _names(path, source)
    found = File(path, names, mixing=True)
    if any("\ufffd" in name for name in names):
        found.faults.append(f"{path}: the header is {csv_faults.not_text(source.encoding)}")
    found.faults += source.faults_of(names, path)
    found.faults += [said] if (said := doubled(names, path)) else []
    found.blocks = _Pass(found, source).blocks
    return found


def _names(path: str, source: Csv) -> list[str]:
    try:
        names = next(csv_faults.rows_of(path, source))
    except StopIteration:
        raise DataError(empty(path)) from None
    except LookupError:
        raise DataError(f"{path}: `{source.encoding}` is not a known `encoding`") from None
    except python_csv.Error as error:
        raise DataError(f"{path}: not a readable CSV file: {error}") from None
    return plain_names([names[0].removeprefix("\ufeff"), *names[1:]])


class _Pass:
    """What one reading of the file finds out about its form."""

    def __init__(self, file: File, source: Csv) -> None:
        self.file, self.source = file, source
        self.headed = source.header is None
        self.odd: list[int] = []
        self.example = ""
        self.again = Rows()
        self.bad = {name: Rows() for name in file.names}

    def blocks(self) -> Iterator[Block]:
        """Raises nothing: what ends the reading is a fault of the file."""
        next_row = 0 if self.headed else 1
        try:
            for batch in self._batches():
                rows = self._numbers(next_row, batch.num_rows)
                next_row = int(rows[-1]) + 1 if len(rows) else next_row
                yield self._block(batch, rows)
        except ValueError as error:
            if len(self.odd) < MOST_RAGGED:
                fault = csv_faults.explained(self.file.path, str(error), self.source)
                self.file.faults.append(str(fault))
                self.odd = []  # the fault has them all
        self._conclude()

    def _batches(self) -> Iterator[Any]:
        from pyarrow import csv

        path, source = self.file.path, self.source
        keys = [str(i) for i in range(len(self.file.names))]
        # One thread: only then does Arrow tell the number of a row that it refuses.
        read = csv.ReadOptions(column_names=keys, encoding=source.encoding, use_threads=False)
        parse = csv.ParseOptions(
            delimiter=source.separator(path), quote_char=source.quote, newlines_in_values=True,
            invalid_row_handler=self._refused,
        )  # fmt: skip
        convert = csv.ConvertOptions(
            null_values=source.missing, strings_can_be_null=True,
            column_types=dict.fromkeys(keys, pa.binary()),
        )  # fmt: skip
        with _silent():
            batches = csv.open_csv(path, read, parse, convert)
        with batches:
            while True:
                with _silent():
                    batch = next(batches, None)
                if batch is None:
                    return
                yield batch

    def _refused(self, row: Any) -> str:
        self.odd.append(row.number - self.headed)
        self.example = self.example or f"{row.actual_columns}: `{row.text[:80]}`"
        return "skip" if len(self.odd) < MOST_RAGGED else "error"

    def _numbers(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """The numbers of the next rows in the file, without those that were refused."""
        skipped = self.odd[bisect_left(self.odd, start) :]
        window = np.arange(start, start + count + len(skipped))
        return np.setdiff1d(window, skipped, assume_unique=True)[:count].astype(np.int64)

    def _block(self, batch: Any, rows: npt.NDArray[np.int64]) -> Block:
        texts = [self._decoded(batch.column(i), i, rows) for i in range(batch.num_columns)]
        body = np.ones(len(rows), dtype=bool) if not self.headed else rows > 0
        again = self._headers(texts) & body
        self.again.add(rows[again])
        if not (kept := body & ~again).all():
            mask = pa.array(kept)
            texts = [text.filter(mask) for text in texts]
        return Block(dict(zip(self.file.names, texts, strict=True)), rows[kept])

    def _headers(self, texts: list[pa.Array]) -> npt.NDArray[np.bool_]:
        """[rows] where every value is the name of its column."""
        same = np.full(len(texts[0]), len(texts) > 1)  # one column may well hold its own name
        for name, text in zip(self.file.names, texts, strict=True):
            equal = pc.fill_null(pc.equal(text, name), name in self.source.missing)
            same &= equal.to_numpy(zero_copy_only=False)
            if not same.any():
                break
        return same

    def _decoded(self, raw: pa.Array, column: int, rows: npt.NDArray[np.int64]) -> pa.Array:
        try:
            return pc.cast(raw, pa.string())
        except pa.ArrowInvalid:
            values = raw.to_pylist()
        bad = [i for i, one in enumerate(values) if one is not None and not decodes(one)]
        self.bad[self.file.names[column]].add(row for row in rows[bad] if row > 0)
        return pa.array([None if v is None else v.decode("utf-8", "replace") for v in values])

    def _conclude(self) -> None:
        path, faults = self.file.path, self.file.faults
        if self.odd:
            from ftune.data.frame import spoken_rows

            more = "at least " if len(self.odd) >= MOST_RAGGED else ""
            said = csv_faults.ragged(
                path, more + spoken_rows(self.odd), len(self.file.names), self.example
            )
            faults.append(said)
        if self.again:
            faults.append(f"{path}: the header stands again in {self.again.said}; delete it there")
        faults += [
            not_utf8(f"{path}: column `{n}`", bad.said) for n, bad in self.bad.items() if bad
        ]


@contextmanager
def _silent() -> Iterator[None]:
    """Arrow cannot hand over a refused row that is not UTF-8: it prints so and ends the reading."""
    before, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        yield
    finally:
        sys.unraisablehook = before
