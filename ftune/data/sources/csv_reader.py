"""The blocks of a CSV file: one reader for loading and for `ftune check --data`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from ftune.data.frame import spoken_rows
from ftune.data.sources.csv_faults import beyond, explained, not_text
from ftune.data.sources.csv_form import CsvDialect, Form, form_of
from ftune.data.sources.stream import encoding, unpacked
from ftune.data.spellings import plain_names
from ftune.errors import DataError

MERGED = 64
"""So many small blocks become one, whose memory can go back column by column."""


@dataclass(frozen=True)
class CsvReader:
    """Reads one file; its columns go by their place in a row, so that names may be doubled.

    missing: texts that are null. point: before the fraction of a number.
    """

    dialect: CsvDialect
    missing: Sequence[str]
    point: str = "."

    @cached_property
    def form(self) -> Form:
        """Raises DataError for what is no text in this encoding, or has no header."""
        return form_of(self.dialect)

    @cached_property
    def names(self) -> list[str]:
        return plain_names(self.form.names)

    @property
    def header_fault(self) -> str:
        """What is wrong with the bytes of the header; empty where nothing is."""
        bad = any("\ufffd" in name for name in self.form.names)
        fault = f"{self.dialect.path}: the header is {not_text(self.dialect.encoding)}"
        return fault if bad else ""

    def open(
        self,
        types: Mapping[str, pa.DataType],
        only: Collection[str] = (),
        refused: Callable[[Any], str] | None = None,
    ) -> Any:
        """Return a pyarrow reader of blocks, whose columns are called by their place.

        types: by column; the others are inferred from the first block. only: these columns.
        refused: handles rows of another width; with it one thread reads, as only then does Arrow
        tell the number of such a row.
        """
        return csv.open_csv(unpacked(self.dialect.path), *self._options(types, only, refused))

    def table(self, types: Mapping[str, pa.DataType], only: Collection[str] = ()) -> pa.Table:
        """Return all blocks as one table.

        The reading ends at the first block that is no CSV. Where a later one holds what the first
        did not let expect, the types are inferred from the whole file. Raises ValueError.
        """
        try:
            with self.open(types, only) as blocks:
                table = _joined(blocks)
        except ValueError as error:
            if "parse error" in str(error):
                raise
            path = unpacked(self.dialect.path)
            table = csv.read_csv(path, *self._options(types, only))
        return table.rename_columns(list(only)) if only else self._named(table)

    def first_block(self, only: Collection[str]) -> pa.Table:
        """Return the first rows of these columns as texts."""
        with self.open(self.texts(only), only) as blocks:
            block = blocks.read_next_batch()
        return pa.Table.from_batches([block]).rename_columns(list(only))

    @staticmethod
    def texts(names: Collection[str]) -> dict[str, pa.DataType]:
        return dict.fromkeys(names, pa.string())

    def fault(self, error: ValueError) -> DataError:
        """Return what the parser tells, in our words."""
        return explained(self.dialect, str(error))

    def _options(
        self,
        types: Mapping[str, pa.DataType],
        only: Collection[str] = (),
        refused: Callable[[Any], str] | None = None,
    ) -> tuple[Any, ...]:
        dialect, form, names = self.dialect, self.form, self.names
        keys = [str(i) for i in range(len(form.keys))]
        closing = dict.fromkeys(keys[len(names) :], pa.binary())
        read = csv.ReadOptions(
            column_names=keys, skip_rows=form.lines, use_threads=refused is None,
            encoding=encoding(dialect.path, dialect.encoding), block_size=form.block_size,
        )  # fmt: skip
        parse = csv.ParseOptions(
            delimiter=dialect.delimiter, quote_char=dialect.quote, newlines_in_values=True,
            invalid_row_handler=refused,
        )  # fmt: skip
        convert = csv.ConvertOptions(
            null_values=list(self.missing), strings_can_be_null=True, true_values=[],
            false_values=[], decimal_point=self.point,
            column_types={str(i): types[n] for i, n in enumerate(names) if n in types} | closing,
            include_columns=[str(names.index(name)) for name in only],
            auto_dict_encode=True, auto_dict_max_cardinality=65_536,
        )  # fmt: skip
        return read, parse, convert

    def _named(self, table: pa.Table) -> pa.Table:
        """The columns by name, without what the delimiters at the ends of lines make."""
        for column in table.columns[len(self.names) :]:
            rows = pc.indices_nonzero(filled(column))
            if len(rows):
                places = spoken_rows((rows.to_numpy() + 1).tolist())
                raise DataError(beyond(self.dialect.path, places))
        return table.select(range(len(self.names))).rename_columns(self.names)


def filled(column: Any) -> Any:
    """[rows] whether there is something behind the last named column; column: of bytes."""
    return pc.fill_null(pc.not_equal(column, b""), False)


def _joined(blocks: Any) -> pa.Table:
    """All blocks, MERGED of them at a time as one chunk of each column."""
    chunks, waiting = list[pa.Table](), list[pa.RecordBatch]()
    for block in blocks:
        waiting.append(block)
        if len(waiting) == MERGED:
            chunks.append(pa.Table.from_batches(waiting).combine_chunks())
            waiting.clear()
            pa.default_memory_pool().release_unused()
    return pa.concat_tables([*chunks, pa.Table.from_batches(waiting, blocks.schema)])
