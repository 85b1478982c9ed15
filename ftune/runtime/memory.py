"""Out of memory, whichever part of torch says it, as one error that holds nothing alive."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType

import torch

from ftune.errors import OutOfMemoryError

# The words of torch's allocators, of oneDNN and of C++; only CUDA's has a type of its own.
_WORDS = (
    "can't allocate memory",
    "out of memory",
    "not enough memory",
    "bad_alloc",
    "could not create a memory",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch, numpy or Python says that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    message = str(error)
    return isinstance(error, RuntimeError) and any(words in message for words in _WORDS)


class memory:  # noqa: N801 - reads as a statement, and a generator would cost on every step
    """`with memory("the update"):` turns memory that ran out into an OutOfMemoryError.

    The error of torch is let go: its traceback would keep every activation of the step alive.
    """

    def __init__(self, what: str, shrinks: bool = False) -> None:
        self.what, self.shrinks = what, shrinks

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is None or not is_out_of_memory(error):
            return
        message = (str(error) or "MemoryError").splitlines()[0]
        forget(error)
        raise OutOfMemoryError(f"out of memory in {self.what}: {message}", self.shrinks) from None


def forget(error: BaseException) -> None:
    """Clears the local variables of the frames that an error has passed."""
    trace = error.__traceback__
    while trace is not None:
        with suppress(RuntimeError):  # a frame that still runs
            trace.tb_frame.clear()
        trace = trace.tb_next
    error.__traceback__ = None
