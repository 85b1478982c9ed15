"""What a proof counted, for the table at the end of scripts/prove."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

# Scales every count: 1 is what is promised, 0.05 a quick look. `full` is ten times as much, in
# parts that are kept as they end (support/kept.py).
_COUNT = os.environ.get("FTUNE_PROVE_COUNT", "1")
LONG = _COUNT == "full"
PARTS = 10 if LONG else 1
SHARE = 1.0 if LONG else float(_COUNT)


def full(count: int) -> int:
    """The promised count of one part, or the share of it that this call was asked for."""
    return max(2, round(count * SHARE))


@dataclass(frozen=True)
class Ledger:
    """Notes counts under a promise (`R1`, `S3`, …), as properties of the JUnit report.

    A promise may be counted by several tests; the table adds them up.
    """

    record: Callable[[str, object], None]

    def counted(self, promise: str, count: int, failures: int = 0, what: str = "") -> None:
        """`count` trials of a promise were made; fails the test where one of them failed."""
        self.record(f"{promise}/count", count)
        self.record(f"{promise}/failures", failures)
        self.record(f"{promise}/what", what)
        assert failures == 0, f"{promise}: {failures} of {count} failed ({what})"

    def control(self, promise: str, caught: bool, what: str = "") -> None:
        """A variant that is broken on purpose was tried; fails the test where nothing noticed."""
        self.record(f"{promise}/control", "caught" if caught else "missed")
        self.record(f"{promise}/control of", what)
        assert caught, f"{promise}: the proof did not notice its negative control ({what})"
