"""What a file says in whole JSON may still have another form than ftune wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ftune.errors import CheckpointError, FtuneError

# An assertion too: what ftune writes never breaks one, what was changed since may.
_SIGNS = (LookupError, TypeError, ValueError, AttributeError, OverflowError, AssertionError)


@contextmanager
def of_form(what: str) -> Iterator[None]:
    """While what a file says is taken for what it should be. Raises CheckpointError."""
    try:
        yield
    except FtuneError:
        raise
    except _SIGNS as error:
        reason = f"{type(error).__name__}: {str(error)[:200]}".splitlines()[0]
        raise CheckpointError(f"{what}: damaged: of another form ({reason})") from error
