"""JSON of unknown origin: its length, depth and number of values, before anything is built."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from pathlib import Path
from typing import Any

from ftune.errors import CheckpointError

MOST_BYTES = 64_000_000
MOST_VALUES = 4_000_000
MOST_LEVELS = 100

# Always matches, closed or not: a text that never ends is looked at once.
_TEXTS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


class DamagedError(CheckpointError, ValueError):
    """JSON that cannot be read. A ValueError too: who can do without it may pass over it."""


def read(path: Path) -> Any:
    """What a JSON file holds. Raises DamagedError, and OSError where it cannot be opened."""
    return loads(_content(path), str(path))


def fits(path: Path) -> None:
    """Refuses a JSON file that another library is to read. Raises DamagedError, OSError."""
    _check(_content(path), str(path))


def loads(text: str | bytes, where: str) -> Any:
    """The value of a JSON text. Raises DamagedError that begins with `where`."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    _check(raw, where)
    try:
        return json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        reason = (str(error) or type(error).__name__)[:200]
        raise DamagedError(f"{where}: damaged: no JSON: {reason}") from None


def _content(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise DamagedError(f"{path}: {size:,} bytes of JSON, at most {MOST_BYTES:,} are read")
    return path.read_bytes()


def _check(raw: bytes, where: str) -> None:
    if len(raw) > MOST_BYTES:
        raise DamagedError(f"{where}: {len(raw):,} bytes of JSON, at most {MOST_BYTES:,} are read")
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > MOST_VALUES:
        raise DamagedError(f"{where}: more than {MOST_VALUES:,} values of JSON")
    if levels(raw) > MOST_LEVELS:
        raise DamagedError(f"{where}: JSON nested deeper than {MOST_LEVELS} levels")


def levels(raw: bytes) -> int:
    """How deep brackets are nested, those inside texts not counted."""
    return nesting(raw)[0]


def nesting(raw: bytes) -> tuple[int, int]:
    """The same, and how many brackets are still open at the end."""
    brackets = _TEXTS.sub(b"", raw).translate(None, _OTHERS)
    depths = list(accumulate(map(_STEP.__getitem__, brackets)))
    return max([0, *depths]), depths[-1] if depths else 0


def keys(raw: bytes) -> int:
    """How many keys all objects have together."""
    return _TEXTS.sub(b"", raw).count(b":")
