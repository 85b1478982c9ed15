"""Ctrl-C and SIGTERM: the first asks for a stop at the next step, the second ends at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Stopper:
    """Holds the signal that asked for a stop, if one did.

    error: what a signal raises where nothing is left to be saved; None while a step is made.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.error: Callable[[int], Exception] | None = None

    def __call__(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None:
            os._exit(128 + number)
        self.signal = number
        if self.error is not None:
            raise self.error(number)

    def leave(self, error: Callable[[int], Exception]) -> None:
        """From here on signals raise; so does one that was heard and not answered yet."""
        self.error = error
        if self.signal is not None:
            raise error(self.signal)


@contextmanager
def stopper() -> Iterator[Stopper]:
    """Listens to SIGINT and SIGTERM inside the block; outside the main thread, to nothing.

    What came too late for the block, as the last trial's summary was written, is passed on to the
    block around it: a sweep ends there, and does not begin the next trial.
    """
    found = Stopper()
    try:
        before = {s: signal.signal(s, found) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread
        yield found
        return
    try:
        yield found
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
    around = before.get(signal.Signals(found.signal)) if found.signal else None
    if isinstance(around, Stopper):
        around(found.signal or 0, None)
