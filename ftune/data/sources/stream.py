"""A text file as it is read: unpacked where it is compressed, decoded as its mark says."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from ftune.errors import DataError
from ftune.security.limits.memory import available, check

PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}
"""How a compressed file begins; its name may say nothing of it."""
MARKS = {
    b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16",
}  # fmt: skip
"""Byte order marks; UTF-32's begins like one of UTF-16."""
USUAL = "utf-8"
PIECE = 2**20


def packing(path: str | Path) -> str | None:
    """How the file is compressed, None where it is not."""
    with Path(path).open("rb") as file:
        start = file.read(4)
    return next((name for mark, name in PACKED.items() if start.startswith(mark)), None)


def unpacked(path: str | Path) -> pa.NativeFile:
    """The bytes of the file. Reading raises OSError where a compressed one is damaged."""
    return pa.input_stream(str(path), compression=packing(path))


def encoding(path: str | Path, named: str = USUAL) -> str:
    """`named`, except that a byte order mark tells what the usual one cannot be."""
    with unpacked(path) as file:
        start = file.read(4)
    mark = next((name for mark, name in MARKS.items() if start.startswith(mark)), None)
    return mark if mark and named.lower() in (USUAL, "utf8") else named


def decoded(path: str | Path) -> pa.NativeFile:
    """The bytes of the text in UTF-8, whatever its mark says; without one, as they are."""
    return pa.transcoding_input_stream(unpacked(path), encoding(path), USUAL)


def lines(path: str | Path) -> Iterator[bytes]:
    """The lines of `decoded`, each with its end."""
    with io.BufferedReader(decoded(path), PIECE) as file:
        yield from file


def text(path: str | Path, named: str) -> io.TextIOWrapper:
    """The text for Python's own readers, without its mark; what is not decodable is replaced."""
    raw = io.BufferedReader(unpacked(path), PIECE)
    name = encoding(path, named)
    name = f"{USUAL}-sig" if name.lower() in (USUAL, "utf8") else name
    return io.TextIOWrapper(raw, name, "replace", newline="")


def check_size(path: str | Path, times: float = 1 / 8, remedy: str = "") -> None:
    """Raises DataError where so many times the bytes, unpacked, are more than there is memory."""
    size = Path(path).stat().st_size
    if packing(path):
        size, most = 0, available()
        with unpacked(path) as file:
            while (piece := len(file.read(PIECE))) and size * times <= most:
                size += piece
    check(str(path), int(size * times), remedy)


def check_text(path: str, named: str = USUAL) -> None:
    """Raises DataError for a file with zero bytes, which no text has but of 16 or 32 bits."""
    with unpacked(path) as file:
        start = file.read(4096)
    wide = any(bits in encoding(path, named) for bits in ("16", "32"))
    if b"\0" not in start or wide:
        return
    for name, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if zeros.count(0) > len(zeros) / 2 and start.count(0) < 0.6 * len(start):
            raise DataError(
                f"{path}: seems to be UTF-16 without its mark: write `encoding: {name}`"
            )
    raise DataError(not_a_text(path))


def not_a_text(path: str) -> str:
    return f"{path}: not a text file; `source` names its format (parquet, npz …)"
