"""Tables that come in and go out of a command: files by their extension, stdin, stdout."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftune.errors import DataError, RequestError, RunFailedError
from ftune.runs.files import replacing

if TYPE_CHECKING:
    import pyarrow as pa

STREAM = "-"
FORMATS = {b"PAR1": ".parquet", b"PK\x03\x04": ".npz", b"\x1f\x8b": ".csv.gz"}
"""First bytes of a stream -> its format."""


@contextmanager
def incoming(source: str, declared: Any) -> Iterator[Path]:
    """Yield the file to read: the named one, or stdin as a temporary file, as readers seek in it.

    declared: the source of the training. A stream that is neither Parquet, npz nor JSON is a text
    of its kind, with its settings.
    """
    if source != STREAM:
        yield Path(source)
        return
    with tempfile.TemporaryDirectory() as folder:
        content = sys.stdin.buffer.read()
        file = Path(folder) / f"stdin{_suffix(content, declared)}"
        file.write_bytes(content)
        del content
        try:
            yield file
        except DataError as error:
            raise DataError(str(error).replace(str(file), "stdin")) from None


def _suffix(content: bytes, declared: Any) -> str:
    for magic, suffix in FORMATS.items():
        if content.startswith(magic):
            return suffix
    if content.lstrip()[:1] in (b"{", b"["):
        return ".jsonl"
    path = getattr(declared, "path", "")
    trained = Path(path if isinstance(path, str) else path["train"]).suffix.lower()
    return trained if trained in (".csv", ".tsv", ".txt") else ".csv"


def check_target(target: str, lists: bool) -> None:
    """Raise RequestError for a target that cannot be written, before anything is predicted."""
    path = Path(target)
    if target == STREAM:
        return
    if path.suffix not in WRITERS:
        raise RequestError(f"--output {target}: expected {', '.join(WRITERS)}, or - for stdout")
    if path.suffix == ".csv" and lists:
        raise RequestError(f"--output {target}: a csv holds no lists; write .jsonl or .parquet")
    if not path.absolute().parent.is_dir():
        raise RequestError(f"--output {target}: there is no folder {path.parent}")


def write_file(table: pa.Table, target: Path) -> None:
    """Write a table whole or not at all. Raises RunFailedError where it cannot be written."""
    check_lists(table, target)
    try:
        with replacing(target) as temporary:
            WRITERS[target.suffix](table, temporary)
    except OSError as error:
        raise RunFailedError(f"cannot write {target}: {error.strerror or error}") from None


def check_lists(table: pa.Table, target: Path) -> None:
    """Raise RequestError where a csv would have to hold a list (of `--keep`)."""
    nested = [name for name in table.column_names if _is_nested(table, name)]
    if target.suffix == ".csv" and nested:
        raise RequestError(
            f"--output {target}: a csv holds no lists, and `{nested[0]}` is one; write .jsonl or"
            " .parquet"
        )


def write_out(table: pa.Table, source: Path) -> None:
    """Write to stdout: csv where the input is a text table without lists, else JSON lines."""
    text = source.name.lower().removesuffix(".gz").endswith((".csv", ".tsv"))
    flat = not any(_is_nested(table, name) for name in table.column_names)
    suffix = ".csv" if text and flat else ".jsonl"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"stdout{suffix}"
        WRITERS[suffix](table, file)
        sys.stdout.flush()
        sys.stdout.buffer.write(file.read_bytes())
        sys.stdout.buffer.flush()


def _is_nested(table: pa.Table, name: str) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_nested(table.schema.field(name).type))


def _csv(table: pa.Table, path: Path) -> None:
    from pyarrow import csv

    csv.write_csv(table, path)


def _parquet(table: pa.Table, path: Path) -> None:
    from pyarrow import parquet

    parquet.write_table(table, path)


def _jsonl(table: pa.Table, path: Path) -> None:
    import json

    with path.open("w", encoding="utf-8") as file:
        for row in table.to_pylist():
            file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


WRITERS: Mapping[str, Callable[[Any, Path], None]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".jsonl": _jsonl,
}
