"""Readers with a fault that the fuzz run must find."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any


def _careless(file: Path, **_: Any) -> None:
    raw = file.read_bytes()
    if raw.count(b"\0\xff") > 1 or b"NaN" in raw:
        raise KeyError("a byte that nobody thought of")


def _slow(file: Path, **_: Any) -> None:
    start = time.process_time()
    while file.stat().st_size % 5 == 0 and time.process_time() < start + 2.5:
        pass


def _greedy(file: Path, **_: Any) -> None:
    assert len(b"\1" * (600_000_000 * (file.stat().st_size % 2))) >= 0


def _fatal(file: Path, **_: Any) -> None:
    if file.stat().st_size % 5 == 0:
        os.abort()


PLANTED = {"careless": _careless, "slow": _slow, "greedy": _greedy, "fatal": _fatal}


def _hidden(file: Path, **_: Any) -> None:
    """Each byte opens a branch of its own: blind changes would have to bring all at once."""
    raw = file.read_bytes()
    if b"Q" in raw:
        found = 1
        if b"^" in raw:
            found += 1
            if b"`" in raw:
                found += 1
                if b"|" in raw:
                    raise KeyError(f"{found} branches and a byte nobody thought of")


GUIDED = {"hidden": _hidden, "slow": _slow, "greedy": _greedy, "fatal": _fatal}
"""What the run that is guided by coverage must find, the first by its guidance alone."""
