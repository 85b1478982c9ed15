"""What signals ask of a training.

Ctrl-C, SIGTERM and SIGHUP: the first asks for a stop at the next step, the second ends at once.
SIGUSR1 asks for a checkpoint at the next step, and the training goes on.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Windows has neither.
SAVE: signal.Signals | None = getattr(signal, "SIGUSR1", None)
HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)


class Stopper:
    """Holds the signal that asked for a stop, if one did.

    error: what a signal raises where nothing is left to be saved; None while a step is made. save:
    whether a checkpoint was asked for.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.error: Callable[[int], Exception] | None = None
        self.save = False

    def __call__(self, number: int, _: FrameType | None) -> None:
        if number == SAVE:
            self.save = True
            return
        if self.signal is not None:
            os._exit(128 + number)
        self.signal = number
        if number == HANGUP:
            _leave_terminals()
        if self.error is not None:
            raise self.error(number)

    def leave(self, error: Callable[[int], Exception]) -> None:
        """From here on signals raise; so does one that was heard and not answered yet."""
        self.error = error
        if self.signal is not None:
            raise error(self.signal)


@contextmanager
def stopper() -> Iterator[Stopper]:
    """Listens to signals inside the block; outside the main thread, to nothing.

    Not to SIGHUP where it is ignored already: `nohup` means that.

    What came too late for the block, as the last trial's summary was written, is passed on to the
    block around it: a sweep ends there, and does not begin the next trial.
    """
    listener = Stopper()
    try:
        before = {number: signal.signal(number, listener) for number in _heard()}
    except ValueError:  # not the main thread
        yield listener
        return
    try:
        yield listener
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
    around = before.get(signal.Signals(listener.signal)) if listener.signal else None
    if isinstance(around, Stopper):
        around(listener.signal or 0, None)


def _heard() -> list[signal.Signals]:
    always = [signal.SIGINT, signal.SIGTERM, *([SAVE] if SAVE else [])]
    if HANGUP is None or signal.getsignal(HANGUP) is signal.SIG_IGN:
        return always
    return [*always, HANGUP]


def _leave_terminals() -> None:
    """Says the rest to nobody where the terminal is gone, so that saying it is no fault."""
    for stream in (1, 2):
        try:
            os.write(stream, b"")
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
