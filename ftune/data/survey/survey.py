"""`ftune check --data`: every file once, one block at a time, and all faults together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftune.data.apart import nothing_to_divide, shared
from ftune.data.found import listed
from ftune.data.prepare import lacking
from ftune.data.sources.csv import Csv
from ftune.data.sources.files import PARTS
from ftune.data.sources.images import Images
from ftune.data.sources.jsonl import Jsonl
from ftune.data.sources.parquet import Parquet
from ftune.data.sources.text import Text
from ftune.data.survey.blocks import File, of_frame, of_parquet, of_text
from ftune.data.survey.csv import of_csv
from ftune.data.survey.jsonl import of_jsonl
from ftune.data.survey.look import Look
from ftune.errors import DataError
from ftune.limits.memory import spoken

if TYPE_CHECKING:
    from ftune.data.kind import TargetKind
    from ftune.data.schema import Data

OPEN: dict[type, Callable[[str, Any], File]] = {
    Csv: of_csv, Parquet: of_parquet, Jsonl: of_jsonl, Text: of_text,
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """One file without a fault; size in bytes, None where there is no file."""

    path: str
    rows: int
    columns: int
    size: int | None
    seconds: float
    note: str

    def __str__(self) -> str:
        said = f"{self.path}: {self.rows:,} rows, {self.columns:,} columns"
        said += f", {spoken(self.size)}" if self.size is not None else ""
        return f"{said}, {self.seconds:.1f} s{f' ({self.note})' if self.note else ''}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def survey(data: Data, kind: TargetKind) -> list[Told]:
    """Looks at every file. Raises one DataError that lists what is wrong in all of them."""
    faults: list[str] = []
    told: list[Told] = []
    looks: list[Look] = []
    for part, open_file in _files(data):
        started = time.monotonic()
        try:
            file = open_file()
        except DataError as error:
            faults.append(str(error))
            continue
        looks.append(_look(file, part, looks[0] if looks else None, data, kind))
        faults += file.faults
        seconds, size = round(time.monotonic() - started, 3), _size(file.path)
        told.append(Told(file.path, file.rows, len(file.names), size, seconds, file.note))
    faults += _between(looks, data)
    if faults:
        raise DataError(listed(list(dict.fromkeys(faults))))
    return told


def _look(file: File, part: str, first: Look | None, data: Data, kind: TargetKind) -> Look:
    """Adds to the faults of the file what is wrong in it, also what ends the reading."""
    if first and (lacks := lacking(file.path, file.names, first.file.path, first.file.names)):
        file.faults.append(lacks)
    divided = part == "all" or (part == "train" and not _has_val(data))
    look = Look(file, data, kind, first is None, divided, first.classes if first else ())
    if part == "val" and data.split.stratify:
        file.faults.append(nothing_to_divide(file.path))
    try:
        if not isinstance(data.source, Text):
            look.run()
    except DataError as error:
        file.faults.append(str(error))
    return look


def _between(looks: list[Look], data: Data) -> list[str]:
    """What is wrong with files side by side: groups that stand in two of them."""
    column = data.split.group
    pairs = combinations(looks, 2) if column else ()
    shares = (
        shared(one.file.path, other.file.path, str(column), one.groups & other.groups)
        for one, other in pairs
    )
    return [fault for fault in shares if fault]


def _has_val(data: Data) -> bool:
    path = getattr(data.source, "path", None)
    return isinstance(path, dict) and "val" in path


def _files(data: Data) -> Iterator[tuple[str, Callable[[], File]]]:
    """Each part and how its file is opened; a source of another kind gives all of its rows."""
    source = data.source
    opener = OPEN.get(type(source))
    if opener is not None:
        paths = source.path if isinstance(source.path, dict) else {"all": source.path}
        for part in ("all", *PARTS):
            if part in paths:
                yield part, lambda path=paths[part]: opener(path, source)  # type: ignore[misc]
        return
    note = "" if isinstance(source, Images) else "its source is read whole"
    try:
        parts = source.load()
    except DataError as error:
        yield "all", _refusing(error)
        return
    for part, frame in parts.items():
        yield part, lambda frame=frame: of_frame(frame, note)  # type: ignore[misc]


def _refusing(error: DataError) -> Callable[[], File]:
    def refused() -> File:
        raise error

    return refused


def _size(path: str) -> int | None:
    place = Path(path)
    if place.is_dir():
        return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    return place.stat().st_size if place.is_file() else None
