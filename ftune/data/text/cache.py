"""What tokenising made, kept on disk under a name that says what it was made of.

A file holds arrays and notes (safetensors; no code can be in it) and the sha256 of its arrays. One
that does not answer to it is made again. The least recently used go when the folder is too large.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from ftune.data.frame import Array

LIMIT = 4 * 10**9
"""Bytes that the folder may hold."""
TORN_SECONDS = 24 * 3600.0
"""Age at which a file that is not finished is taken for one of a process that was killed."""
Content = tuple[dict[str, Array], list[str]]


def folder(setting: bool | str) -> Path | None:
    """Where `data.cache` keeps its files; None: nowhere."""
    if setting is False:
        return None
    if setting is not True:
        return Path(setting).expanduser() / "text"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "ftune" / "text"


def key_of(texts: Iterable[str]) -> str:
    """sha256 of texts, each with its length, so that no two lists are alike."""
    digest = hashlib.sha256()
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(raw))
        digest.update(raw)
    return digest.hexdigest()


def kept(place: Path | None, key: str, make: Callable[[], Content]) -> Content:
    """The arrays and notes under `key`, made and written where there are none that are whole."""
    if place is None:
        return make()
    file = place / f"{key}.safetensors"
    found = _read(file)
    if found is None:
        found = make()
        with contextlib.suppress(OSError):  # a full or read-only disk costs time, not the run
            _write(file, *found)
            _tidy(place, file)
    return found


def _read(file: Path) -> Content | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            about = opened.metadata() or {}
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        notes = json.loads(about["notes"])
        if about["sha256"] != _sum(arrays, notes):
            return None
        os.utime(file)
    except (OSError, SafetensorError, ValueError, KeyError):
        return None
    return arrays, notes


def _write(file: Path, arrays: Mapping[str, Array], notes: list[str]) -> None:
    """Beside, then renamed: another process never sees half a file."""
    from safetensors.numpy import save_file

    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.stem}.{os.getpid()}-{secrets.token_hex(4)}.part")
    solid = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    try:
        save_file(solid, beside, {"sha256": _sum(solid, notes), "notes": json.dumps(notes)})
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def _sum(arrays: Mapping[str, Array], notes: list[str]) -> str:
    digest = hashlib.sha256(json.dumps(notes).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _tidy(place: Path, newest: Path) -> None:
    """Deletes the least recently used files beyond LIMIT, never the newest, and torn ones."""
    for torn in place.glob(".*.part"):
        if time.time() - torn.stat().st_mtime > TORN_SECONDS:
            torn.unlink(missing_ok=True)
    found = [(file.stat(), file) for file in place.glob("*.safetensors") if file != newest]
    room = LIMIT - newest.stat().st_size
    for about, file in sorted(found, key=lambda one: -one[0].st_mtime):
        room -= about.st_size
        if room < 0:
            file.unlink(missing_ok=True)
