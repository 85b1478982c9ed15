"""What is read and measured once, though two parts of one command ask for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")
_MEMORY: ContextVar[dict[str, tuple[Any, Any]] | None] = ContextVar("memory", default=None)


@contextmanager
def once() -> Iterator[None]:
    """Within, the last answer to each question is kept, and given again for an equal key."""
    token = _MEMORY.set({})
    try:
        yield
    finally:
        _MEMORY.reset(token)


def answered(question: str, key: Any, answer: Callable[[], T]) -> T:
    """What `answer` gives; within `once`, what it gave before for this key."""
    memory = _MEMORY.get()
    if memory is None:
        return answer()
    if question not in memory or memory[question][0] != key:
        memory[question] = (key, answer())
    result: T = memory[question][1]
    return result
