"""Writing files that are either whole or absent, whatever happens meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ftune.errors import RunFailedError
from ftune.security.limits import documents


def write_atomic(path: Path, data: bytes) -> None:
    """Write bytes to a file that is replaced as a whole, durably."""
    with replacing(path) as temporary:
        write_durable(temporary, data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a new name beside `path`, which is renamed to `path` when the block ends well.

    The block writes and flushes a file or folder there; the rename is made durable here. Where it
    raises, what it wrote is deleted and `path` is untouched.
    """
    # A process number alone is the same in another container.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with suppress(OSError):
                temporary.unlink()
        raise
    sync_folder(path.parent)


def write_durable(path: Path, data: bytes) -> None:
    """Write bytes and flush them to the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    write_atomic(path, (json.dumps(value, indent=2) + "\n").encode())


def read_json(path: Path) -> Any:
    """Raises DamagedError (a CheckpointError, and a ValueError), OSError where there is none."""
    return documents.read(path)


def disk_error(error: OSError, folder: Path) -> RunFailedError:
    """What the system said about a file, with the space that there is."""
    return RunFailedError(f"cannot write {folder}: {error}; {free_bytes(folder):,} bytes are free")


def free_bytes(path: Path) -> int:
    """Space on the disk of a file or folder, which need not exist yet."""
    there = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    return shutil.disk_usage(there).free


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
