"""Ctrl-C and SIGTERM: the first asks for a stop at the next step, the second ends at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopper:
    """Holds the signal that asked for a stop, if one did."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None:
            os._exit(128 + number)
        self.signal = number


@contextmanager
def stopper() -> Iterator[Stopper]:
    """Listens to SIGINT and SIGTERM inside the block; outside the main thread, to nothing."""
    found = Stopper()
    try:
        before = {s: signal.signal(s, found) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread
        yield found
        return
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
