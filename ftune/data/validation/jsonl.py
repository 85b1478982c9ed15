"""JSON lines in bunches of whole objects, each of which tells its own columns and types."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ftune.data.sources import json_rows
from ftune.data.sources.arrow import check_width, existing, readable
from ftune.data.validation.open_files import Block, DataFile, numbered


def open_jsonl(path: str, source: Any) -> DataFile:  # noqa: ARG001
    """Each line tells its own columns: a first pass collects them, and what is no JSON."""
    from ftune.data.sources.json_faults import check_claims, line_faults

    file = existing(path)
    opened = DataFile(path)
    kinds: dict[str, set[str]] = {}
    broken = False
    with readable(path, "JSON lines"):
        check_claims(file)
        for block in _lines(file):
            broken = broken or block is None
            for name, column in (block.columns if block else {}).items():
                kinds.setdefault(name, set()).add(_kind(column.type))
    opened.names = list(kinds)
    if broken or any(len(kind - {"null"}) > 1 for kind in kinds.values()):
        opened.faults += line_faults(file)
    check_width(path, len(kinds))
    opened.blocks = lambda: (block for block in _lines(file) if block is not None)
    return opened


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    if pa.types.is_timestamp(kind):  # a text that checks like a date
        return "string"
    return str(kind).partition("<")[0]


def _lines(file: Path) -> Iterator[Block | None]:
    """Blocks of whole objects; None where a line is none, and then the good ones of that block."""
    done = 0
    for lines in _bunches(file):
        try:
            batch = _parsed(lines)
        except ValueError:
            yield None
            good = [(i, line) for i, line in enumerate(lines, done + 1) if _is_object(line)]
            done += len(lines)
            yield from _good(good)
            continue
        if batch.num_rows:
            yield numbered(batch, done)
        done += batch.num_rows


def _good(lines: list[tuple[int, bytes]]) -> Iterator[Block]:
    """The lines that are objects, one by one where they do not agree in their types."""
    try:
        block = numbered(_parsed([line for _, line in lines]), 0) if lines else None
    except ValueError:
        for number, line in lines:
            yield Block(numbered(_parsed([line]), 0).columns, np.array([number]))
        return
    if block:
        yield Block(block.columns, np.array([number for number, _ in lines]))


def _parsed(lines: list[bytes]) -> pa.Table:
    """Raises ValueError for what is no JSON, or no UTF-8."""
    from pyarrow import json

    raw = b"".join(lines)
    if not raw.strip():
        return pa.table({})
    raw.decode()  # Arrow does not look whether it is UTF-8
    size = json.ReadOptions(use_threads=False, block_size=len(raw) + 1)
    return json.read_json(pa.BufferReader(raw), size).flatten()


def _is_object(line: bytes) -> bool:
    try:
        _parsed([line])
    except ValueError:
        return False
    return True


def _bunches(file: Path, most: int = 2**22) -> Iterator[list[bytes]]:
    """Lines without blank ones; an object that goes over several lines is not cut."""
    lines: list[bytes] = []
    size = 0
    for line in json_rows.lines(file):
        if size > most and line.startswith(b"{"):
            yield lines
            lines, size = [], 0
        if line.strip():
            lines.append(line)
            size += len(line)
    yield lines
