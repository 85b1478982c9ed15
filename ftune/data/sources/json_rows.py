"""The objects of a JSON file one a line, whether it has them so or in an array."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ftune.data.sources import stream
from ftune.errors import DataError
from ftune.security.limits.documents import MOST_LEVELS

if TYPE_CHECKING:
    import pyarrow as pa

_BLANK = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
"""Finds where an element ends; what its numbers are is not its concern."""
_ONE_LINE = str.maketrans("\r\n", "  ")


def lines(path: str | Path) -> Iterator[bytes]:
    """Each line; of an array each element as a line. Raises DataError for a broken array."""
    every = stream.lines(path)
    for first in every:
        start = first.removeprefix(b"\xef\xbb\xbf").lstrip()
        if start.startswith(b"["):
            yield from _elements(str(path), start + b"".join(every))
        elif start:
            yield from chain([first], every)
        if start:
            return


def opened(path: str | Path) -> pa.NativeFile:
    """`lines` for Arrow."""
    import pyarrow as pa

    with stream.decoded(path) as file:
        start = file.read(stream.PIECE).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        return pa.BufferReader(b"".join(lines(path)))
    return stream.decoded(path)


def _elements(path: str, raw: bytes) -> Iterator[bytes]:
    stream.check_size(path, 2)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8; save the file as UTF-8") from None
    at = _past_blank(text, 1)
    while text[at : at + 1] != "]":
        end = _end(path, text, at)
        yield text[at:end].translate(_ONE_LINE).encode() + b"\n"
        at = _past_blank(text, end)
        if text[at : at + 1] == ",":
            at = _past_blank(text, at + 1)
        elif text[at : at + 1] != "]":
            raise _fault(path, text, at, "expected a comma or the end of the array")
    rest = _past_blank(text, at + 1)
    if rest < len(text):
        raise _fault(path, text, rest, "the array has ended; write one array, or one object a line")


def _past_blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _end(path: str, text: str, at: int) -> int:
    """Where the element that begins at `at` ends."""
    try:
        return _DECODER.raw_decode(text, at)[1]
    except json.JSONDecodeError as error:
        raise _fault(path, text, error.pos, f"no JSON: {error.msg}") from None
    except RecursionError:
        deep = f"nested deeper than {MOST_LEVELS} levels; flatten"
        raise _fault(path, text, at, deep) from None


def _fault(path: str, text: str, at: int, what: str) -> DataError:
    line, start = text.count("\n", 0, at) + 1, text.rfind("\n", 0, at) + 1
    return DataError(f"{path}:{line}:{at - start + 1}: {what}")
