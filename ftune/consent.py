"""Consent to code that a file brings: of one call, for exact bytes, and never written down.

`--run-code-from sha256:HEX` is the only way to give it. No setting, environment variable or file
grants anything, so that whoever can write those cannot make code run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ftune.errors import RequestError

OPTION = "--run-code-from"


@dataclass
class _Call:
    """What one command was given, and which file each hash has opened."""

    given: tuple[str, ...] = ()
    opened: dict[str, str] = field(default_factory=dict)


_now = _Call()


@contextmanager
def granting(words: Sequence[str]) -> Iterator[None]:
    """Consent to these hashes inside, and to no others. Raises RequestError for what is no hash."""
    global _now
    before, _now = _now, _Call(tuple(_digest(word) for word in words))
    try:
        yield
    finally:
        _now = before


def granted(digest: str, file: str) -> bool:
    """Whether the code in `file`, whose sha256 is `digest`, may run; noted where it may."""
    if digest not in _now.given:
        return False
    _now.opened[digest] = file
    return True


def how(digest: str) -> str:
    """The words that would grant it, and what was given instead."""
    others = [one for one in _now.given if one not in _now.opened]
    given = f" (given: sha256:{others[0]}, which is another file's hash)" if others else ""
    return f"{OPTION} sha256:{digest}{given}"


def opened() -> list[dict[str, str]]:
    """The files whose code this call has run, for the run's record. It grants nothing later."""
    return [{"file": file, "sha256": digest} for digest, file in _now.opened.items()]


def idle() -> list[str]:
    """A sentence for each hash that opened nothing."""
    return [
        f"{OPTION} sha256:{one} was not needed: no file with this hash was asked to run code"
        for one in _now.given
        if one not in _now.opened
    ]


def _digest(word: str) -> str:
    found = re.fullmatch(r"sha256:([0-9a-f]{64})", word.strip().lower())
    if not found:
        raise RequestError(
            f"{OPTION} {word[:80]}: is no hash; write sha256: and 64 hexadecimal digits, as the "
            "message says that refuses the file"
        )
    return found[1]
