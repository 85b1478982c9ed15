"""GGUF files: counts, lengths and offsets of the header against the bytes that there are.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3.
"""

from __future__ import annotations

import math
import mmap
import struct
from pathlib import Path
from typing import Any

from ftune.errors import CheckpointError
from ftune.security.limits.folders import check_layers
from ftune.security.limits.memory import check

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _LIST = 8, 9
_WHOLE = {4: "<I", 5: "<i", 10: "<Q", 11: "<q"}
MOST_LEVELS = 4
MOST_DIMENSIONS = 8
FLOAT = 4
"""Bytes of a value as it is loaded, whatever the file packs it into."""


class _TooShortError(Exception):
    """The header claims more than the file has; the message says what."""


def gguf_file(path: Path) -> None:
    """Raises CheckpointError for a header that cannot be true, or tensors beyond the memory."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            values = _Walk(path, raw, size).values()
    except (_TooShortError, struct.error, ValueError) as error:
        raise CheckpointError(f"{path}: damaged: {error}") from None
    check(f"{path}: its tensors", values * FLOAT, kind=CheckpointError)


class _Walk:
    """Goes through a header once, without building anything."""

    def __init__(self, path: Path, raw: mmap.mmap, size: int) -> None:
        self.path, self.raw, self.size, self.at = path, raw, size, 0

    def values(self) -> int:
        """How many numbers the tensors hold."""
        magic, version = self._take("<4sI")
        if magic != b"GGUF" or version not in (2, 3):
            raise _TooShortError("not a GGUF file of version 2 or 3 (little endian)")
        tensors, keys = self._take("<QQ")
        self._fits(keys, 13, "entries")
        self._fits(tensors, 24, "tensors")
        for _ in range(keys):
            start = self.at + 8
            self._text("a key")
            key = self.raw[start : self.at]
            (kind,) = self._take("<I")
            if key.endswith(b"block_count") and kind in _WHOLE:
                count, *_ = struct.unpack_from(_WHOLE[kind], self.raw, self.at)
                check_layers({"layers": count}, str(self.path))
            self._value(kind, 0)
        return sum(self._tensor() for _ in range(tensors))

    def _tensor(self) -> int:
        self._text("a tensor's name")
        (dimensions,) = self._take("<I")
        if dimensions > MOST_DIMENSIONS:
            raise _TooShortError(f"a tensor of {dimensions:,} dimensions")
        shape = self._take(f"<{dimensions}Q")
        _, offset = self._take("<IQ")
        if offset > self.size or math.prod(shape) > self.size * 8:
            raise _TooShortError(f"a tensor claims {list(shape)}, the file has {self.size:,} bytes")
        return math.prod(shape)

    def _value(self, kind: int, level: int) -> None:
        if kind == _TEXT:
            self._text("a text")
        elif kind == _LIST and level < MOST_LEVELS:
            inner, count = self._take("<IQ")
            if inner in _SIZES:
                self._skip(count * _SIZES[inner], "a list")
                return
            self._fits(count, 8, "values of a list")
            for _ in range(count):
                self._value(inner, level + 1)
        elif kind in _SIZES:
            self._skip(_SIZES[kind], "a value")
        else:
            raise _TooShortError(f"a value of unknown type {kind}")

    def _text(self, what: str) -> None:
        self._skip(self._take("<Q")[0], what)

    def _skip(self, length: int, what: str) -> None:
        self._fits(length, 1, f"bytes of {what}")
        self.at += length

    def _fits(self, count: int, each: int, what: str) -> None:
        if count * each > self.size - self.at:
            raise _TooShortError(f"claims {count:,} {what}, the file has {self.size:,} bytes")

    def _take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(form, self.raw, self.at)
        self.at += struct.calcsize(form)
        return values
