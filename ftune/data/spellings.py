"""Values that differ only in how they are written: spaces, composed letters, true and false."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ftune.data.frame import Array, label_text

Key = Callable[[str], str]

_SPACES = re.compile(r"[\s\u200b\ufeff]+")
_NUMBER = re.compile(r"[-+]?(0|[1-9]\d*)(\.\d*)?([eE][-+]?\d+)?")
_TRUTHS = {"true": "true", "false": "false"}
_NUMBERED = {"1": "true", "0": "false", "1.0": "true", "0.0": "false"} | _TRUTHS


def plain(text: str) -> str:
    """Without spaces around, one space for several of any kind, letters composed."""
    return _SPACES.sub(" ", unicodedata.normalize("NFC", text)).strip()


def plain_names(names: Sequence[str]) -> list[str]:
    """Names of columns without spaces around, letters composed, unless two would become one."""
    result = [unicodedata.normalize("NFC", name).strip() for name in names]
    return result if len(set(result)) == len(set(names)) else list(names)


def key_of(known: Collection[str], numbers: bool = False) -> Key:
    """What tells values apart beside the `known`: two of one key are one value.

    Where all that is known is true or false, 1 and 0 are these. numbers: `1.0` is `1` where all
    known are numbers.
    """
    words = {plain(text).lower() for text in known}
    if words and words <= set(_TRUTHS):
        return lambda text: _NUMBERED.get(plain(text).lower(), plain(text))
    if numbers and words and all(_NUMBER.fullmatch(word) for word in words):
        return _as_number
    return plain


def _as_number(text: str) -> str:
    bare = plain(text)
    return label_text(float(bare)) if _NUMBER.fullmatch(bare) else bare


def places(values: Array, known: Sequence[str], numbers: bool = False) -> npt.NDArray[np.int64]:
    """[rows] where each value stands in `known`, by its spelling or else its key; -1: nowhere."""
    exact = {text: i for i, text in enumerate(known)}
    key = key_of(known, numbers)
    near: dict[str, int] = {}
    for i, text in enumerate(known):
        near.setdefault(key(text), i)
    index_of: dict[Any, int] = dict(exact)

    def of(value: Any) -> int:
        if value not in index_of:
            index_of[value] = near.get(key(value), -1) if isinstance(value, str) else -1
        return index_of[value]

    return np.fromiter(map(of, values), np.int64, len(values))


def merged(
    counts: Mapping[str, int],
    others: Iterable[str] = (),
    known: Sequence[str] = (),
    numbers: bool = False,
) -> dict[str, str]:
    """By value, the spelling that stands for it, where that is another one.

    It is the one in `known`, else the most frequent in `counts`, without spaces around; `others`
    have no say.
    """
    key = key_of(known or counts, numbers)
    ranked = sorted(counts, key=lambda text: (-counts[text], text))
    named: dict[str, str] = {}
    for text in (*known, *(text.strip() for text in ranked), *map(str.strip, others)):
        named.setdefault(key(text), text)
    chosen = {text: named[key(text)] for text in (*ranked, *others) if text not in known}
    return {text: new for text, new in chosen.items() if new != text}


def respelt(column: Array, changes: Mapping[str, str]) -> Array:
    """[rows] object: the column with `changes` made."""
    if not changes:
        return column
    return np.asarray([changes.get(value, value) for value in column], dtype=object)


def counted(column: Array) -> Counter[str]:
    """How many rows have each known value."""
    return Counter(value for value in column if value is not None)


def note(name: str, changes: Mapping[str, str], counts: Mapping[str, int]) -> str:
    """What is said of a column in which some spellings were taken for others."""
    rows = sum(counts[text] for text in changes)
    shown = ", ".join(f"{text!r} as {changes[text]!r}" for text in list(changes)[:3])
    more = f" … ({len(changes):,} spellings in all)" if len(changes) > 3 else ""
    return (
        f"column `{name}`: {rows:,} {'value' if rows == 1 else 'values'} read in another spelling"
        f" of the same: {shown}{more}."
    )
