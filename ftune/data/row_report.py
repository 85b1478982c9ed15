"""What a pass remembers of a fault: how often, and where the first five are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

MOST = 5


@dataclass
class RowReport:
    """A count of rows and the first five of their numbers, with what stood there if it is told."""

    count: int = 0
    first: list[int] = field(default_factory=list)
    values: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self.count > 0

    def add(self, rows: Iterable[int], values: Iterable[str] = ()) -> None:
        rows = list(map(int, rows))
        self.count += len(rows)
        self.first += rows[: MOST - len(self.first)]
        self.values += list(values)[: MOST - len(self.values)]

    @property
    def said(self) -> str:
        from ftune.data.frame import spoken_count

        return spoken_count(self.count, self.first)


def list_faults(faults: list[str]) -> str:
    """All of them as one message."""
    if len(faults) == 1:
        return faults[0]
    return "\n".join([f"{len(faults)} faults in the data", *(f"  {fault}" for fault in faults)])
