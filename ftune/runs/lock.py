"""The right to write a folder: one process at a time, and the kernel takes it back at its end.

An `flock` on `FOLDER/.lock`, held open as long as it is written there. Not a record lock of
`fcntl`, which ends when any thread closes the file; not run.json, which is replaced by a rename.
The file goes away with the lock; what a killed process left of it holds nobody up.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from weakref import WeakSet

from ftune.errors import LockedError, RequestError
from ftune.runs.process import alive, identity

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"
NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP}


@dataclass(eq=False)
class Lock:
    """A lock that this process holds until `release`.

    descriptor: of the open file; None where the file system has no locks, or after the release.
    note: what the user should know, once for each file system. held: until it is given back.
    """

    folder: Path
    descriptor: int | None
    note: str = ""
    held: bool = True

    @classmethod
    def take(cls, folder: Path, shown: Path | None = None) -> Lock:
        """Locks a folder, which must exist; `shown` is its name in messages.

        Raises LockedError where another process has it, RequestError where it may not be written,
        FileNotFoundError where it was deleted meanwhile.
        """
        shown = shown or folder
        while True:
            descriptor = _opened(folder / NAME, shown)
            try:
                _lock(descriptor)
            except BlockingIOError:
                holder = _holder(descriptor, folder)
                os.close(descriptor)
                raise LockedError(f"{shown} {busy(holder)}") from None
            except OSError as error:
                os.close(descriptor)
                if error.errno not in NO_LOCKS:
                    raise
                (folder / NAME).unlink(missing_ok=True)
                return cls(folder.absolute(), None, _note(folder, error))
            if _is_at(descriptor, folder / NAME):
                break
            os.close(descriptor)  # its holder before took it away when it ended
        lock = cls(folder.absolute(), descriptor)
        _held.add(lock)
        lock._sign()
        return lock

    def moved(self, folder: Path) -> Lock:
        """The same lock after its folder was renamed; this object gives it away."""
        lock = Lock(folder.absolute(), self.descriptor, self.note)
        if self.descriptor is not None:
            _held.discard(self)
            _held.add(lock)
        self.descriptor, self.held = None, False
        return lock

    def release(self) -> None:
        """Takes the file away and lets the next one in; once is enough, twice does no harm."""
        descriptor, self.descriptor, self.held = self.descriptor, None, False
        if descriptor is None:
            return
        _held.discard(self)
        file = self.folder / NAME
        with suppress(OSError):  # a folder that was deleted, or a disk that is gone
            if _is_at(descriptor, file):
                file.unlink()
        os.close(descriptor)

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.release()

    def __del__(self) -> None:
        with suppress(Exception):  # at the interpreter's end nothing is sure to be there
            self.release()

    def _sign(self) -> None:
        """Notes who holds it, for whoever comes meanwhile."""
        assert self.descriptor is not None
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = {"pid": os.getpid(), "process": identity(), "since": since}
        with suppress(OSError):  # a full disk; the lock holds without
            os.ftruncate(self.descriptor, 0)
            os.pwrite(self.descriptor, json.dumps(holder).encode(), 0)


def busy(holder: Mapping[str, Any]) -> str:
    """The rest of a sentence that begins with a folder: who writes there, as far as is known."""
    facts = [f"process {holder['pid']}"] if isinstance(holder.get("pid"), int) else []
    host = (holder.get("process") or {}).get("host")
    facts += [f"on {host}"] if facts and isinstance(host, str) and host else []
    facts += [f"since {holder['since']}"] if facts and isinstance(holder.get("since"), str) else []
    who = f" ({' '.join(facts)})" if facts else ""
    return f"is being written by another process{who}; wait for its end, or stop it first"


def _opened(file: Path, shown: Path) -> int:
    """Opens or makes the file, never through a link. Raises RequestError where that may not be."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(file, flags, 0o666)  # close-on-exec, as whatever Python opens
    except OSError as error:
        if error.errno not in FORBIDDEN:
            raise
        raise RequestError(f"{shown} cannot be written: {NAME}: {error.strerror}") from None
    state = os.fstat(descriptor)
    if stat.S_ISREG(state.st_mode) and state.st_nlink <= 1:
        return descriptor
    os.close(descriptor)
    raise RequestError(f"{shown} cannot be written: {NAME} is not a file of its own; delete it")


def _lock(descriptor: int) -> None:
    """Raises BlockingIOError where it is held, another OSError where there are no locks."""
    if fcntl is None:
        raise OSError(errno.ENOSYS, "this system has no flock")
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(descriptor: int, file: Path) -> bool:
    """Whether a name still is that of an open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _holder(descriptor: int, folder: Path) -> dict[str, Any]:
    """What the holder noted; nothing where it has not yet, or another one left the note."""
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return holder if alive(holder, folder) or holder["pid"] == os.getpid() else {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _note(folder: Path, error: OSError) -> str:
    """Once for each file system, as a sweep has many folders on one."""
    device = folder.stat().st_dev
    if device in _noted:
        return ""
    _noted.add(device)
    return (
        f"{folder}: no locks on this file system ({error.strerror}); whether another process "
        "writes here is only seen by its number in run.json: start one at a time"
    )


def _forget() -> None:
    """In a forked child: the lock is its parent's, and ends with the parent."""
    for lock in list(_held):
        if lock.descriptor is not None:
            os.close(lock.descriptor)
        lock.descriptor, lock.held = None, False
    _held.clear()


_noted: set[int] = set()
_held: WeakSet[Lock] = WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
