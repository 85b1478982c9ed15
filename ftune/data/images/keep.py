"""Where decoded pixels stay: in memory, or in a file that is mapped into it."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from ftune.data.disk_cache import completed, evict
from ftune.data.frame import Array
from ftune.data.images.pixels import Pixels
from ftune.security.limits.memory import available

VERSION = 1
BLOCK = 2**24
LIMIT = 20 * 10**9
"""Bytes that the folder may hold."""
_BEGIN = 128
"""Where the bytes begin in a .npy file of one dimension."""


def key_of(files: Iterable[Path], shapes: Iterable[Any]) -> str:
    """What the decoded pixels depend on: the state of each file, what is done to it, and by whom.

    A file that is written anew changes its times or its inode, which nobody can set back.
    """
    import PIL

    digest = hashlib.sha256(f"{VERSION} {PIL.__version__} {list(shapes)!r}".encode())
    for file in files:
        state = file.stat()
        digest.update(
            f"\0{file.resolve()} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}"
            f" {state.st_ino}".encode(errors="surrogateescape")
        )
    return digest.hexdigest()


def kept(place: Path) -> Pixels | None:
    """What an earlier run left at `place` (.npy, .json); None where it is absent or damaged."""
    try:
        metadata = json.loads(place.with_suffix(".json").read_bytes())
        flat: Array = np.load(place.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
        pixels = _pixels(flat, metadata)
        whole = flat.shape == (int(pixels.sizes.prod(axis=1).sum()) * pixels.channels,)
        if whole and flat.dtype == np.uint8 and _sha256(flat) == pixels.sha256:
            os.utime(place.with_suffix(".npy"))
            return pixels
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        pass
    return None


def _sha256(flat: Array) -> str:
    digest = hashlib.sha256()
    for start in range(0, len(flat), BLOCK):
        digest.update(flat[start : start + BLOCK].data)
    return digest.hexdigest()


def keep(images: Callable[[], Iterator[Array]], count: int, place: Path | None) -> Pixels:
    """Writes `count` images as they come; the file gets its name when it is complete.

    Without a place, or where the disk refuses, they stay in memory, or in a file without a name if
    they would take more than half of what is free.
    """
    if place is None:
        return _kept_for_now(images(), count)
    try:
        pixels = _written(images(), place)
    except OSError as error:
        note = f"Decoded images could not be kept in {place.parent}: {error.strerror or error}."
        return replace(_kept_for_now(images(), count), notes=[note])
    with suppress(OSError):
        evict(place.with_suffix(".npy"), LIMIT)
    return pixels


def _written(images: Iterator[Array], place: Path) -> Pixels:
    """The notes last: without them there is nothing.

    Mapped before it has its name, under which another process may replace or delete it.
    """
    with completed(place.with_suffix(".npy")) as temporary:
        with temporary.open("wb") as file:
            metadata = _write(images, file)
            file.flush()
            os.fsync(file.fileno())
        pixels = _pixels(np.load(temporary, mmap_mode="r", allow_pickle=False), metadata)
    with completed(place.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(metadata))
    return pixels


def _write(images: Iterable[Array], file: IO[bytes]) -> dict[str, Any]:
    """The bytes behind a .npy header of their length, which is known at the end."""
    digest, sizes, channels, length = hashlib.sha256(), [], 3, 0
    _header(file, 0)
    for image in images:
        data = np.ascontiguousarray(image)
        digest.update(data.data)
        file.write(data.data)
        sizes.append(data.shape[:2])
        channels, length = data.shape[2], length + data.nbytes
    file.seek(0)
    _header(file, length)
    return {"sizes": sizes, "channels": channels, "sha256": digest.hexdigest()}


def _header(file: IO[bytes], length: int) -> None:
    """Writes the header of a one-dimensional array; numpy leaves room for any length."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(file, header)
    assert file.tell() == _BEGIN


def _kept_for_now(images: Iterator[Array], count: int) -> Pixels:
    first = next(images)
    if first.nbytes * count > available() // 2:
        with tempfile.TemporaryFile() as unnamed:
            metadata = _write(itertools.chain([first], images), unnamed)
            unnamed.flush()
            flat: Array = np.memmap(unnamed, np.uint8, "r", offset=_BEGIN)
    else:
        memory = io.BytesIO()
        metadata = _write(itertools.chain([first], images), memory)
        flat = np.frombuffer(memory.getbuffer(), np.uint8, offset=_BEGIN)
    return _pixels(flat, metadata)


def _pixels(flat: Array, told: dict[str, Any]) -> Pixels:
    sizes = np.array(told["sizes"], dtype=np.int64).reshape(-1, 2)
    return Pixels(flat, sizes, told["channels"], told["sha256"])
