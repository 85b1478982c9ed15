"""Arrow tables as Frames, and the faults that every file format shares."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ftune.config.spelling import nearest
from ftune.data.frame import Array, Frame, spoken_rows
from ftune.data.sources.integers import integer_notes
from ftune.errors import AbsentDataError, DataError
from ftune.security.limits.memory import check

RELEASED = 2**23
"""So many freed bytes are handed back to the system, which numpy takes its memory from."""
MOST_COLUMNS = 100_000
SMALLER = "take fewer rows or columns into the file"


def existing(path: str) -> Path:
    """The file at `path`. Raises DataError where there is none or it is empty."""
    file = Path(path)
    if file.is_dir():
        raise DataError(f"{path}: is a folder, a file is needed")
    if not file.exists():
        near = nearest(file.name, (other.name for other in file.parent.glob("*")))
        raise AbsentDataError(path, "file", near)
    if not file.stat().st_size:
        raise DataError(empty(path))
    return file


def empty(path: str) -> str:
    return f"{path}: the file is empty; a table needs a header and rows"


@contextmanager
def readable(path: str, what: str) -> Iterator[None]:
    """Turns what pyarrow says about a damaged file into one sentence."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, RecursionError, MemoryError) as error:
        reason = str(error).splitlines()[0].strip() if str(error) else type(error).__name__
        raise DataError(f"{path}: not a readable {what} file: {reason}") from None


def to_frame(table: pa.Table, path: str) -> Frame:
    """A table as a Frame. Raises DataError for doubled names, no rows, and mixed columns."""
    if doubled(table.column_names, path):
        raise DataError(doubled(table.column_names, path))
    if not table.num_rows:
        raise DataError(no_rows(table.column_names, path))
    rows, columns = table.num_rows, {}
    check(f"{path}: its {rows:,} rows", rows * table.num_columns * 8, SMALLER)
    notes = integer_notes(table)
    waiting = dict(zip(table.column_names, table.columns, strict=True))
    del table  # each column is freed when it is read: the table never exists twice
    freed = RELEASED
    for name in list(waiting):
        freed += waiting[name].nbytes
        columns[name] = to_column(waiting.pop(name), f"{path}: column `{name}`")
        if freed >= RELEASED:
            pa.default_memory_pool().release_unused()
            freed = 0
    pa.default_memory_pool().release_unused()
    return Frame(columns, path, np.arange(1, rows + 1), notes)


def one_nameless(table: pa.Table) -> pa.Table:
    """Of several columns without a name, which none can be told apart, the first alone."""
    places = [i for i, name in enumerate(table.column_names) if not name.strip()]
    for i in reversed(places[1:]):
        table = table.remove_column(i)
    return table


def doubled(names: Sequence[str], path: str) -> str:
    """Which names stand for several columns, in words; empty where none does."""
    counts = Counter(name for name in names if name.strip())
    names_twice = [f"`{name}`" for name, count in counts.items() if count > 1]
    message = f"{path}: {', '.join(names_twice[:5])} names more than one column; rename all but one"
    return message if names_twice else ""


def no_rows(names: Sequence[str], path: str) -> str:
    return f"{path}: a header ({', '.join(names[:20])}) but no rows"


def check_width(path: str, columns: int) -> None:
    """Raises DataError for more columns than a table is kept in."""
    if columns > MOST_COLUMNS:
        raise DataError(
            f"{path}: {columns:,} columns, at most {MOST_COLUMNS:,} are read; save them as one"
            " array a row (npz, or a list column in parquet)"
        )


def to_column(values: pa.ChunkedArray, where: str) -> Array:
    """One Arrow column as numpy; types that a table cannot hold become JSON text."""
    kind = values.type
    if pa.types.is_null(kind):
        return np.full(len(values), np.nan)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _numbers(values)
    if pa.types.is_duration(kind):
        return _numbers(pc.cast(pc.cast(values, pa.duration("s"), safe=False), pa.int64()))
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return _dates(values)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        stacked = _stacked(values)
        if stacked is not None:
            return stacked
    return _texts(values, where)


def _numbers(values: pa.ChunkedArray) -> Array:
    """[rows] float64, NaN for null."""
    numbers = pc.cast(values, pa.float64(), safe=False).to_numpy()
    return np.require(numbers, requirements="W")  # a copy only where Arrow holds the memory


def _dates(values: pa.ChunkedArray) -> Array:
    """[rows] datetime64[s]; a time with a zone becomes UTC."""
    kind = values.type
    if pa.types.is_timestamp(kind) and kind.tz:
        values = pc.cast(values, pa.timestamp(kind.unit))
    seconds = pc.cast(values, pa.timestamp("s"), safe=False).to_numpy()
    return np.asarray(seconds).astype("datetime64[s]")


def _stacked(values: pa.ChunkedArray) -> Array | None:
    """Lists of numbers of one length as [rows, length] float32; None where they are not."""
    lengths = pc.unique(pc.list_value_length(values))
    flat = pc.list_flatten(values)
    plain = pa.types.is_integer(flat.type) or pa.types.is_floating(flat.type)
    if not plain or len(lengths) != 1 or not lengths[0].as_py():
        return None
    block = np.asarray(pc.cast(flat, pa.float32(), safe=False).to_numpy())
    return block.reshape(len(values), lengths[0].as_py())


def _texts(values: pa.ChunkedArray, where: str) -> Array:
    """[rows] object: each distinct text exists once, so that a column costs 8 bytes a row."""
    if not pa.types.is_dictionary(values.type):
        values = _as_strings(values, where).dictionary_encode()
    elif not pa.types.is_string(values.type.value_type):
        values = _as_strings(pc.cast(values, values.type.value_type), where).dictionary_encode()
    whole = values.unify_dictionaries().combine_chunks()
    whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    distinct = np.array([*whole.dictionary.to_pylist(), None], dtype=object)
    codes = pc.fill_null(pc.cast(whole.indices, pa.int64()), len(distinct) - 1)
    return np.asarray(distinct[codes.to_numpy(zero_copy_only=False)])


def _as_strings(values: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Texts as they are, bytes as UTF-8, everything else as JSON."""
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pc.cast(values, pa.string())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        _check_utf8(values, where)
        return pc.cast(values, pa.string())
    if pa.types.is_boolean(kind):
        return pc.cast(values, pa.string())
    texts = [None if v is None else json.dumps(v, default=str) for v in values.to_pylist()]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _check_utf8(values: pa.ChunkedArray, where: str) -> None:
    bad = [i for i, raw in enumerate(values, 1) if raw.is_valid and not decodes(raw.as_py())]
    if bad:
        raise DataError(not_utf8(where, spoken_rows(bad)))


def not_utf8(where: str, rows: str) -> str:
    return (
        f"{where}, {rows}: not UTF-8; save the file as UTF-8, or name its `encoding` (latin-1,"
        " cp1252 …)"
    )


def decodes(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def mixed(
    origin: str, name: str, share: float, count: int, first: dict[int, str], remedy: str
) -> str:
    """share: of numbers among the known values. first: the first few others by their row."""
    shown = ", ".join(f"row {row}: {value!r}" for row, value in first.items())
    spoken = "1 value is" if count == 1 else f"{count:,} values are"
    return (
        f"{origin}: column `{name}` is {share:.1%} numbers, but {spoken} not"
        f" ({shown}{', …' if count > len(first) else ''}); {remedy.format(name=name)}"
    )
