"""A CSV file block by block, every value as the bytes that stand there."""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ftune.data.row_report import RowReport
from ftune.data.sources import csv_faults, csv_form
from ftune.data.sources.arrow import check_width, decodes, doubled, existing, not_utf8, readable
from ftune.data.sources.csv_reader import CsvReader, filled
from ftune.data.validation.open_files import Block, DataFile
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.sources.csv import Csv

MOST_RAGGED = 100_000
"""So many rows of another width, and the rest is not read: it is not this kind of file."""


def open_csv(path: str, source: Csv) -> DataFile:
    """Raises DataError for what is no text in this encoding, or has no header."""
    existing(path)
    reader = source.reader(path)
    with readable(path, "CSV"):
        names = list(reader.names)
    check_width(path, len(reader.form.keys))
    file = DataFile(path, names, mixing=True)
    file.faults += [reader.header_fault] if reader.header_fault else []
    faults = source.faults_of(names, path)
    if faults and len(names) == 1:  # with the wrong delimiter all else would be wrong too
        raise DataError(faults[0])
    file.faults += faults
    file.faults += [fault] if (fault := doubled(names, path)) else []
    file.blocks = _Pass(file, reader).blocks
    return file


class _Pass:
    """What one reading of the file finds out about its form."""

    def __init__(self, file: DataFile, reader: CsvReader) -> None:
        self.file, self.reader, self.form = file, reader, reader.form
        self.odd: list[int] = []
        self.refused = False
        self.example = ""
        self.again = RowReport()
        self.beyond = RowReport()
        self.bad = {name: RowReport() for name in file.names}

    def blocks(self) -> Iterator[Block]:
        """Raises nothing: what ends the reading is a fault of the file."""
        next_row = 1
        try:
            for batch in self._batches():
                rows = self._numbers(next_row, batch.num_rows)
                next_row = int(rows[-1]) + 1 if len(rows) else next_row
                yield self._block(batch, rows)
        except (ValueError, OSError) as error:
            if len(self.odd) < MOST_RAGGED:
                self.file.faults.append(str(csv_faults.explained(self.reader.dialect, str(error))))
                self.odd = []  # the fault has them all
        self._conclude()

    def _batches(self) -> Iterator[Any]:
        bytes_of = dict.fromkeys(self.file.names, pa.binary())
        with _silent():
            batches = self.reader.open(bytes_of, refused=self._refused)
        with batches:
            while True:
                with _silent():
                    batch = next(batches, None)
                if batch is None:
                    return
                yield batch
                del batch
                pa.default_memory_pool().release_unused()

    def _refused(self, row: Any) -> str:
        self.refused = True
        self.odd.append(row.number - self.form.lines)
        self.example = self.example or f"{row.actual_columns}: `{row.text[:80]}`"
        return "skip" if len(self.odd) < MOST_RAGGED else "error"

    def _numbers(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """The numbers of the next rows in the file, without those that were refused."""
        skipped = self.odd[bisect_left(self.odd, start) :]
        window = np.arange(start, start + count + len(skipped))
        return np.setdiff1d(window, skipped, assume_unique=True)[:count].astype(np.int64)

    def _block(self, batch: Any, rows: npt.NDArray[np.int64]) -> Block:
        names = self.file.names
        for i in range(len(names), batch.num_columns):
            self.beyond.add(rows[filled(batch.column(i)).to_numpy(zero_copy_only=False)])
        texts = [self._decoded(batch.column(i), i, rows) for i in range(len(names))]
        again = self._headers(texts)
        self.again.add(rows[again])
        if again.any():
            texts = [text.filter(pa.array(~again)) for text in texts]
        return Block(dict(zip(names, texts, strict=True)), rows[~again])

    def _headers(self, texts: list[pa.Array]) -> npt.NDArray[np.bool_]:
        """[rows] where every value is the name of its column."""
        same = np.full(len(texts[0]), len(texts) > 1)  # one column may well hold its own name
        for name, text in zip(self.file.names, texts, strict=True):
            equal = pc.fill_null(pc.equal(text, name), name in self.reader.missing)
            same &= equal.to_numpy(zero_copy_only=False)
            if not same.any():
                break
        return same

    def _decoded(self, raw: pa.Array, column: int, rows: npt.NDArray[np.int64]) -> pa.Array:
        try:
            return pc.cast(raw, pa.string())
        except pa.ArrowInvalid:
            values = raw.to_pylist()
        bad = [i for i, value in enumerate(values) if value is not None and not decodes(value)]
        self.bad[self.file.names[column]].add(rows[bad])
        return pa.array([None if v is None else v.decode("utf-8", "replace") for v in values])

    def _conclude(self) -> None:
        path, faults = self.file.path, self.file.faults
        self.file.misread = bool(self.refused and csv_form.layout(self.reader.dialect, ragged=True))
        if self.odd:
            from ftune.data.frame import spoken_rows

            more = "at least " if len(self.odd) >= MOST_RAGGED else ""
            rows = more + spoken_rows(self.odd)
            faults.append(
                csv_faults.ragged(self.reader.dialect, rows, len(self.form.keys), self.example)
            )
        if self.beyond:
            faults.append(csv_faults.beyond(path, self.beyond.said))
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
