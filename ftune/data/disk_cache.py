"""What tokenising and decoding made, kept on disk under a name that says what it was made of.

A file gets its name when it is complete, and answers to a sha256; one that does not is made again.
The least recently used files go when a folder is too large.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from ftune.data.frame import Array
from ftune.places import expanded

LIMIT = 4 * 10**9
"""Bytes of arrays that a folder may hold."""
TORN_SECONDS = 24 * 3600.0
"""Age at which a file that is not finished is taken for one of a process that was killed."""
Content = tuple[dict[str, Array], list[str]]
"""Arrays by name, and notes."""


def cache_folder(setting: bool | str, kind: str) -> Path | None:
    """Return where `data.cache` keeps its files of that kind of data; None: nowhere."""
    if setting is False:
        return None
    if isinstance(setting, str):
        return expanded(setting) / kind
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "ftune" / kind


def key_of(texts: Iterable[str]) -> str:
    """Return the sha256 of texts, each with its length, so that no two lists are alike."""
    digest = hashlib.sha256()
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(raw))
        digest.update(raw)
    return digest.hexdigest()


def load_or_make(folder: Path | None, key: str, make: Callable[[], Content]) -> Content:
    """Return the arrays and notes under `key`, made and written where there are none."""
    if folder is None:
        return make()
    file = folder / f"{key}.safetensors"
    content = _read(file)
    if content is None:
        content = make()
        with suppress(OSError):  # a full or read-only disk costs time, not the run
            _write(file, *content)
            evict(file, LIMIT)
    return content


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
    from safetensors.numpy import save_file

    solid = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with completed(file) as temporary:
        save_file(solid, temporary, {"sha256": _sum(solid, notes), "notes": json.dumps(notes)})


def _sum(arrays: Mapping[str, Array], notes: list[str]) -> str:
    digest = hashlib.sha256(json.dumps(notes).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@contextmanager
def completed(file: Path) -> Iterator[Path]:
    """Yield a new name beside `file`, which takes its place when the block ends well.

    Another process never sees half a file; a process number alone is the same in two containers.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f"{file.stem}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        temporary.replace(file)
    finally:
        with suppress(OSError):
            temporary.unlink()


def evict(newest: Path, limit: int) -> None:
    """Delete the least recently used files like `newest` beyond `limit` bytes, and torn ones.

    The .json beside a file goes before it. What a process has mapped stays until it is closed.
    """
    folder = newest.parent
    for torn in (*folder.glob("*.tmp"), *folder.glob(".*.part")):  # .part: of version 0.1
        if time.time() - torn.stat().st_mtime > TORN_SECONDS:
            torn.unlink(missing_ok=True)
    states = [(file.stat(), file) for file in folder.glob(f"*{newest.suffix}")]
    excess = sum(state.st_size for state, _ in states) - limit
    for state, file in sorted(states, key=lambda pair: pair[0].st_mtime):
        if excess > 0 and file != newest:
            file.with_suffix(".json").unlink(missing_ok=True)
            file.unlink(missing_ok=True)
            excess -= state.st_size
