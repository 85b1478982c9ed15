"""An export is either there, whole and proved, or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ftune.errors import RunFailedError
from ftune.runs.files import sync_folder
from ftune.runs.lock import NAME, Lock


@contextmanager
def atomic_target(target: Path) -> Iterator[Path]:
    """A place on the target's disk to write at; it takes the target's when the block ends well.

    Raises LockedError where another process is writing the same target.
    """
    target = target.absolute()  # `.` has no name
    folder = target.parent / f".{target.name}.tmp"
    with disk_errors(target):
        lock = _locked(folder, target)
    with lock:
        try:
            with disk_errors(target):
                _clear(folder)
            yield folder / target.name
            with disk_errors(target):
                _replace(folder, target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _locked(folder: Path, target: Path) -> Lock:
    """Makes the folder and locks it; once more where whoever had it deletes it meanwhile."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            return Lock.take(folder, target)


def _clear(folder: Path) -> None:
    """Deletes what a killed export left."""
    for torn in _entries(folder):
        shutil.rmtree(torn) if torn.is_dir() and not torn.is_symlink() else torn.unlink()


def _entries(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if entry.name != NAME]


@contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """What a disk refuses, as RunFailedError."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RunFailedError(f"cannot write {target}: {reason}") from None


def write_file(path: Path, data: bytes) -> None:
    """Errors name the size. It is made durable when it takes its place."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} ({len(data):,} bytes)") from None


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(file.stat().st_size for file in files)


def _replace(folder: Path, target: Path) -> None:
    """What was made, and what lies beside it, takes its place."""
    mask = os.umask(0)
    os.umask(mask)
    for path in folder.rglob("*"):
        if not path.is_symlink():  # libraries write some files for the owner alone
            path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)
        sync_folder(path)  # a file is synced in the same way
    for entry in _entries(folder):
        destination = target.with_name(entry.name)
        if destination.is_dir():
            destination.rename(folder / ".before")
        entry.replace(destination)
    sync_folder(target.parent)
