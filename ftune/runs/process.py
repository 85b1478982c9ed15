"""Whether the process that writes a run still lives; a number alone may have been given again."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Of a run on another machine only its files tell; the longest pause between two of them.
SILENT_SECONDS = 3600.0


def identity() -> dict[str, Any]:
    """This process beyond its number: host, boot and the kernel's time of its start.

    What the system does not tell (no /proc) is None.
    """
    return {"host": platform.node(), "boot": _boot(), "began": process_stat(os.getpid())[1]}


def alive(facts: Mapping[str, Any], folder: Path) -> bool:
    """Whether the process noted in run.json still runs.

    Our own number is no sign of life: in a container a restarted process gets the dead one's.
    """
    pid, noted = facts.get("pid"), facts.get("process") or {}
    if elsewhere(facts):
        return time.time() - _changed(folder) < SILENT_SECONDS
    if not isinstance(pid, int) or pid == os.getpid() or noted.get("boot") not in (None, _boot()):
        return False
    state, began = process_stat(pid)
    if state in ("Z", "X") or (noted.get("began") and began and began != noted["began"]):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def elsewhere(facts: Mapping[str, Any]) -> str | None:
    """The host of the process, where it is not this one."""
    host = (facts.get("process") or {}).get("host")
    return host if isinstance(host, str) and host and host != platform.node() else None


def _changed(folder: Path) -> float:
    """When a file at the top of a run or among its checkpoints was last written.

    Not the folder itself, nor hidden files: who only asks for the lock changes them.
    """
    files = [*folder.glob("[!.]*"), *folder.glob("checkpoints/*"), *folder.glob("trials/*/*")]
    return max((path.stat().st_mtime for path in files if path.exists()), default=0.0)


def _boot() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None


def process_stat(pid: int) -> tuple[str | None, int | None]:
    """State and start, in ticks since the boot, of a process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = text.rpartition(")")[2].split()  # the name before may hold anything
        return fields[0], int(fields[19])
    except (OSError, ValueError, IndexError):
        return None, None
