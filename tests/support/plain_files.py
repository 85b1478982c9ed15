"""What a file is by its content, so that nothing in a run folder can be a program in disguise."""

from __future__ import annotations

import json
import pickletools
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ftune.config.tree import parse


def faults(folder: Path) -> list[str]:
    """Every file that is not what its name says, or is of a kind that a run does not write."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    assert files, f"{folder}: empty"
    return [f"{file.relative_to(folder)}: {why}" for file in files if (why := fault(file))]


def fault(file: Path) -> str:
    """Why it is no plain file; empty for tensors, JSON, YAML, text, a picture or a study."""
    content = file.read_bytes()
    check = KINDS.get(file.suffix) or KINDS.get(file.name)
    if check is None:
        return "a kind of file that no run writes"
    if zipfile.is_zipfile(file) or content[:1] == b"\x80" or is_pickle(content):
        return "a pickle, or an archive as torch.save writes it"
    try:
        return check(file, content)
    except Exception as error:
        return f"not what its name says: {error!r:.100}"


def is_pickle(content: bytes) -> bool:
    """A whole pickle of any protocol that names something: opcodes up to STOP at the very end."""
    try:
        codes = [code.name for code, _, _ in pickletools.genops(content)]
    except Exception:  # whatever it is, it is none
        return False
    return len(codes) > 2


def _tensors(file: Path, content: bytes) -> str:
    """The header is JSON, and the tensors fill the rest to the last byte."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    ends = [told["data_offsets"][1] for name, told in header.items() if name != "__metadata__"]
    whole = max(ends, default=0) == len(content) - 8 - length
    return "" if whole else f"{file.name} has bytes beside its tensors"


def _json(_: Path, content: bytes) -> str:
    json.loads(content)
    return ""


def _lines(_: Path, content: bytes) -> str:
    for line in content.splitlines():
        json.loads(line)
    return ""


def _yaml(file: Path, content: bytes) -> str:
    """As ftune reads it: tags of Python are a fault."""
    parse(content.decode(), str(file))
    return ""


def _text(_: Path, content: bytes) -> str:
    return "" if content.decode().isprintable() or b"\0" not in content else "bytes in a text"


def _picture(_: Path, content: bytes) -> str:
    return "" if content.startswith(b"\x89PNG\r\n\x1a\n") else "no PNG"


def _study(file: Path, _: bytes) -> str:
    """Every value of every table: numbers and texts; a pickle might hide in either."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as base:
        for where, value in _values(base):
            raw = value if isinstance(value, bytes) else str(value).encode()
            if isinstance(value, bytes) or is_pickle(raw):
                return f"{where} holds a pickle or bytes"
    return ""


def _values(base: sqlite3.Connection) -> Iterator[tuple[str, object]]:
    names = base.execute("select name from sqlite_master where type = 'table'").fetchall()
    for (name,) in names:
        for row in base.execute(f'select * from "{name}"'):
            yield from ((name, value) for value in row)


KINDS = {
    ".safetensors": _tensors, ".json": _json, ".jsonl": _lines, ".yaml": _yaml, ".txt": _text,
    ".sha256": _text, ".log": _text, ".png": _picture, ".db": _study,
}  # fmt: skip
