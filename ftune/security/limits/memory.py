"""How much memory there really is, and the refusal of what would not fit into it.

The limit is what this process can still get, not a fixed number: honest large data pass where
there is room for them.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ftune.errors import DataError, RequestError

UNKNOWN = 2**32
"""Bytes that are assumed where the system does not tell."""
_CGROUPS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)


def available() -> int:
    """Bytes that this process can still take: of the machine, its container, and its own limit."""
    bounds = [_of_machine(), *_of_containers(), _of_process()]
    known = [size for size in bounds if size is not None]
    return max(0, min(known)) if known else UNKNOWN


def check(what: str, size: int, remedy: str = "", kind: type[RequestError] = DataError) -> None:
    """Raises `kind` where `size` bytes are more than there is. what: `FILE: its 3 columns`."""
    there = available()
    if size > there:
        raise kind(
            f"{what} would take {spoken(size)} of memory, {spoken(there)} are available"
            + (f"; {remedy}" if remedy else "")
        )


def spoken(size: int) -> str:
    """Bytes as `7.4 GB`."""
    for power, unit in ((12, "TB"), (9, "GB"), (6, "MB")):
        if size >= 10**power:
            return f"{size // 10 ** (power - 1) / 10:,.1f} {unit}"
    return f"{size:,} bytes"


def _of_machine() -> int | None:
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * int(next(line for line in lines if "MemAvailable" in line).split()[1])
    return None


def _of_containers() -> list[int]:
    """What each memory controller leaves; its files that can be dropped count as free."""
    root, bounds = Path("/sys/fs/cgroup"), []
    for limit, usage, droppable in _CGROUPS:
        with suppress(OSError, ValueError):  # `max`: no limit
            most, used = (int((root / name).read_text()) for name in (limit, usage))
            stats = (root / limit).with_name("memory.stat").read_text().split()
            freed = int(stats[stats.index(droppable) + 1]) if droppable in stats else 0
            bounds.append(most - used + freed)
    return bounds


def _of_process() -> int | None:
    """Return the bytes that RLIMIT_AS leaves; None where there is no limit, or no such limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY:
        return None
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return most - pages * resource.getpagesize()
    return most
