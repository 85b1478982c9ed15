"""Files of tables block by block: what was refused goes into the faults, the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ftune.data.sources import stream
from ftune.data.sources.arrow import SMALLER, doubled, existing, readable
from ftune.errors import DataError
from ftune.security.limits.memory import check

if TYPE_CHECKING:
    from ftune.data.frame import Frame
    from ftune.data.sources.parquet import Parquet

ROWS = 16_384


@dataclass(frozen=True)
class Block:
    """Some rows: columns by name, and the number of each row in the file, from 1."""

    columns: dict[str, pa.Array]
    rows: npt.NDArray[np.int64]


@dataclass
class DataFile:
    """One file that is being looked at.

    names: its columns, known before the first block. note: what is special about how it is read.
    mixing: a column may turn out to be of another type later on (a CSV file has no types).
    misread: with another delimiter, or header, all would be different; nothing else is said then.
    """

    path: str
    names: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    rows: int = 0
    note: str = ""
    mixing: bool = False
    misread: bool = False
    blocks: Callable[[], Iterator[Block]] = lambda: iter(())


def open_parquet(path: str, source: Parquet) -> DataFile:  # noqa: ARG001
    """Its names and types come from the footer; the rows in slices of its row groups."""
    from pyarrow import parquet

    from ftune.data.sources.parquet import check_claims

    with existing(path).open("rb") as file, readable(path, "Parquet"):
        metadata = parquet.ParquetFile(file).metadata
        check_claims(path, metadata)
        names = metadata.schema.to_arrow_schema().empty_table().flatten().column_names
    opened = DataFile(path, names, [fault] if (fault := doubled(names, path)) else [])
    opened.blocks = lambda: _slices(path)
    return opened


def _slices(path: str) -> Iterator[Block]:
    from pyarrow import parquet

    done = 0
    with Path(path).open("rb") as file, readable(path, "Parquet"):
        table = parquet.ParquetFile(file, buffer_size=2**20, pre_buffer=False)
        for batch in table.iter_batches(ROWS, use_threads=False):
            batch.validate(full=True)
            yield numbered(pa.Table.from_batches([batch]).flatten(), done)
            done += batch.num_rows


def numbered(batch: Any, done: int) -> Block:
    """The columns of a batch or table whose first row is number done + 1."""
    columns = {name: _whole(batch.column(i)) for i, name in enumerate(batch.schema.names)}
    return Block(columns, np.arange(done + 1, done + batch.num_rows + 1))


def _whole(column: Any) -> pa.Array:
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column


def open_frame(frame: Frame, note: str) -> DataFile:
    """What its source gives only whole."""
    check(f"{frame.origin}: its {len(frame):,} rows", len(frame) * 8, SMALLER)
    opened = DataFile(frame.origin, list(frame.columns), note=note)

    def blocks() -> Iterator[Block]:
        for start in range(0, len(frame), ROWS):
            part = frame.take(np.arange(start, min(start + ROWS, len(frame))))
            names = [n for n in part.columns if part.kind(n) not in ("array", "sequence", "image")]
            flat = {name: pa.array(part[name], from_pandas=True) for name in names}
            yield Block(flat, part.rows)

    opened.blocks = blocks
    return opened


def open_text(path: str, source: Any) -> DataFile:
    """Only counted and decoded, line by line: the column `text` is all of it."""
    from ftune.data.sources.stream import not_a_text
    from ftune.data.sources.text import blank, not_utf8

    opened, offset, empty = DataFile(path, ["text"], note=f"{source.unit} of text"), 0, True
    existing(path)
    with readable(path, "text"):
        for number, line in enumerate(stream.lines(path), 1):
            opened.rows, empty = number, empty and not line.strip()
            if b"\0" in line:
                raise DataError(not_a_text(path))
            try:
                line.decode()
            except UnicodeDecodeError as error:
                raise DataError(
                    not_utf8(path, offset + error.start, line[error.start], number)
                ) from None
            offset += len(line)
    opened.faults += [blank(path)] if empty else []
    return opened
