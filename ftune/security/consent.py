"""Consent to code that a file brings: of one call, for exact bytes, and never written down.

`--run-code-from sha256:HEX` is the only way to give it. No setting, environment variable or file
grants anything, so that whoever can write those cannot make code run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ftune.errors import RequestError

OPTION = "--run-code-from"


@dataclass
class _Call:
    """The hashes that one command was given, and which file each has opened."""

    given: tuple[str, ...] = ()
    opened: dict[str, str] = field(default_factory=dict)


_now = _Call()


@contextmanager
def granting(words: Sequence[str], warn: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Consent to these hashes inside, and to no others. Raises RequestError for what is no hash.

    warn: is told, at a good end, of each hash that opened nothing.
    """
    global _now
    before, _now = _now, _Call(tuple(_digest(word) for word in words))
    try:
        yield
        for digest in _unused():
            warn(
                f"{OPTION} sha256:{digest} was not needed: no file with this hash was asked to run"
                " code"
            )
    finally:
        _now = before


def granted(digest: str, file: str) -> bool:
    """Tell whether the code in `file`, whose sha256 is `digest`, may run; where so, note it."""
    if digest not in _now.given:
        return False
    _now.opened[digest] = file
    return True


def how(digest: str) -> str:
    """Return the option that would grant it, and the hash that was given instead."""
    unused = _unused()
    given = f" (given: sha256:{unused[0]}, which is another file's hash)" if unused else ""
    return f"{OPTION} sha256:{digest}{given}"


def opened() -> list[dict[str, str]]:
    """Return the files whose code this call has run, for run.json. It grants nothing later."""
    return [{"file": file, "sha256": digest} for digest, file in _now.opened.items()]


def _unused() -> list[str]:
    return [digest for digest in _now.given if digest not in _now.opened]


def _digest(word: str) -> str:
    match = re.fullmatch(r"sha256:([0-9a-f]{64})", word.strip().lower())
    if not match:
        raise RequestError(
            f"{OPTION} {word[:80]}: is no hash; write sha256: and 64 hexadecimal digits, as the "
            "message says that refuses the file"
        )
    return match[1]
