"""Ctrl-C and SIGTERM: the first asks for a stop at the next step, the second ends at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
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
    with _handled_by(found):
        yield found


@contextmanager
def leaving(error: Callable[[int], Exception]) -> Iterator[None]:
    """Inside, where nothing is left to be saved, the first signal raises the error of its number.

    The second ends the process at once.
    """
    found = Stopper()

    def handle(number: int, frame: FrameType | None) -> None:
        found(number, frame)
        raise error(number)

    with _handled_by(handle):
        yield


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    try:
        before = {s: signal.signal(s, handler) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
