"""`ftune check --data`: every file once, one block at a time, and all faults together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftune.data.apart import nothing_to_divide, shared
from ftune.data.prepare import lacking
from ftune.data.row_report import list_faults
from ftune.data.sources.csv import Csv
from ftune.data.sources.images import Images
from ftune.data.sources.jsonl import Jsonl
from ftune.data.sources.parquet import Parquet
from ftune.data.sources.text import Text
from ftune.data.validation.csv import open_csv
from ftune.data.validation.file_check import FileCheck
from ftune.data.validation.jsonl import open_jsonl
from ftune.data.validation.open_files import DataFile, open_frame, open_parquet, open_text
from ftune.errors import DataError
from ftune.security.limits.memory import spoken

if TYPE_CHECKING:
    from ftune.data.kind import TargetKind
    from ftune.data.schema import Data

OPENERS: dict[type, Callable[[str, Any], DataFile]] = {
    Csv: open_csv, Parquet: open_parquet, Jsonl: open_jsonl, Text: open_text,
}  # fmt: skip


@dataclass(frozen=True)
class FileReport:
    """One file without a fault; size in bytes, None where there is no file."""

    path: str
    rows: int
    columns: int
    size: int | None
    seconds: float
    note: str

    def __str__(self) -> str:
        text = f"{self.path}: {self.rows:,} rows, {self.columns:,} columns"
        text += f", {spoken(self.size)}" if self.size is not None else ""
        return f"{text}, {self.seconds:.1f} s{f' ({self.note})' if self.note else ''}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def validate(data: Data, kind: TargetKind) -> list[FileReport]:
    """Looks at every file. Raises one DataError that lists what is wrong in all of them."""
    faults: list[str] = []
    reports: list[FileReport] = []
    checks: list[FileCheck] = []
    for part, open_file in _files(data):
        started = time.monotonic()
        try:
            file = open_file()
        except DataError as error:
            faults.append(str(error))
            continue
        checks.append(_check(file, part, checks[0] if checks else None, data, kind))
        faults += file.faults
        seconds, size = round(time.monotonic() - started, 3), _size(file.path)
        reports.append(FileReport(file.path, file.rows, len(file.names), size, seconds, file.note))
    faults += _between(checks, data)
    if faults:
        raise DataError(list_faults(list(dict.fromkeys(faults))))
    return reports


def _check(
    file: DataFile, part: str, first: FileCheck | None, data: Data, kind: TargetKind
) -> FileCheck:
    """Adds to the faults of the file what is wrong in it, also what ends the reading."""
    if first and (lacks := lacking(file.path, file.names, first.file.path, first.file.names)):
        file.faults.append(lacks)
    divided = part == "all" or (part == "train" and "val" not in data.source.part_files)
    check = FileCheck(file, data, kind, first is None, divided, first.classes if first else ())
    if part == "val" and data.split.stratify:
        file.faults.append(nothing_to_divide(file.path))
    try:
        if not isinstance(data.source, Text):
            check.run()
    except DataError as error:
        file.faults.append(str(error))
    return check


def _between(checks: list[FileCheck], data: Data) -> list[str]:
    """What is wrong with files side by side: groups that stand in two of them."""
    column = data.split.group
    pairs = combinations(checks, 2) if column else ()
    shares = (
        shared(first.file.path, other.file.path, str(column), first.groups & other.groups)
        for first, other in pairs
    )
    return [fault for fault in shares if fault]


def _files(data: Data) -> Iterator[tuple[str, Callable[[], DataFile]]]:
    """Each part and how its file is opened; a source of another kind gives all of its rows."""
    source = data.source
    opener = OPENERS.get(type(source))
    if opener is not None:
        for part, path in source.part_files.items():
            yield part, lambda path=path: opener(path, source)  # type: ignore[misc]
        return
    note = "" if isinstance(source, Images) else "its source is read whole"
    try:
        parts = source.load()
    except DataError as error:
        yield "all", _refusing(error)
        return
    for part, frame in parts.items():
        yield part, lambda frame=frame: open_frame(frame, note)  # type: ignore[misc]


def _refusing(error: DataError) -> Callable[[], DataFile]:
    def refused() -> DataFile:
        raise error

    return refused


def _size(path: str) -> int | None:
    file_or_folder = Path(path)
    if file_or_folder.is_dir():
        return sum(file.stat().st_size for file in file_or_folder.rglob("*") if file.is_file())
    return file_or_folder.stat().st_size if file_or_folder.is_file() else None
