"""Columns of conversations, and of lists of words and tags, with what can be wrong in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from ftune.config.spelling import nearest
from ftune.data.frame import Frame, exists, label_text, spoken_rows
from ftune.data.text.chat import ASSISTANT, Turn
from ftune.errors import DataError

T = TypeVar("T")
ROLES = ("system", "user", "assistant", "tool", "developer", "function", "ipython")


class WrongRowError(ValueError):
    """What is wrong with one row."""


def conversations(frame: Frame, column: str, answers: bool = True) -> list[list[Turn]]:
    """The turns of each row. Raises DataError that names rows; `answers`: each needs one."""

    def read(value: Any) -> list[Turn]:
        turns = _turns(value)
        if answers and all(turn["role"] != ASSISTANT for turn in turns):
            raise WrongRowError("no turn of the assistant, so there is nothing to learn")
        return turns

    return _each(frame, column, "data.messages", read)


def _turns(value: Any) -> list[Turn]:
    found = _json(value)
    if not isinstance(found, list) or not found:
        raise WrongRowError("expected a list of turns, [{role: user, content: …}, …]")
    return [_turn(i, turn) for i, turn in enumerate(found, 1)]


def _turn(number: int, turn: Any) -> Turn:
    if not isinstance(turn, dict):
        raise WrongRowError(f"turn {number} is no object; expected role and content")
    given = {key: value for key, value in turn.items() if value is not None}
    if "role" not in given or "content" not in given:
        keys = ", ".join(given) or "none"
        raise WrongRowError(f"turn {number} has the keys {keys}; expected role and content")
    role, content = given["role"], given["content"]
    if role not in ROLES:
        near = nearest(str(role), ROLES)
        remedy = f"did you mean `{near}`?" if near else f"expected one of {', '.join(ROLES[:4])}"
        raise WrongRowError(f"turn {number} has the role `{role}`; {remedy}")
    if not isinstance(content, str):
        raise WrongRowError(f"the content of turn {number} is no text")
    return given


def word_lists(frame: Frame, column: str, setting: str) -> list[list[str]]:
    """Words or tags of each row: a list, the same as JSON text, or a text with spaces between."""

    def read(value: Any) -> list[str]:
        words = [label_text(float(v)) for v in value] if _is_array(value) else _words(value)
        if not words:
            raise WrongRowError("the list is empty")
        blank = [i for i, word in enumerate(words, 1) if not word.strip()]
        if blank:
            raise WrongRowError(f"word {blank[0]} is blank")
        return words

    return _each(frame, column, setting, read)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _words(value: str) -> list[str]:
    text = value.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return text.split()
    found = _json(text)
    if not isinstance(found, list) or any(isinstance(v, list | dict) or v is None for v in found):
        raise WrongRowError("expected a flat list of words")
    return [label_text(v) for v in found]


def tag_names(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The tags there are: numerically if all are numbers, else in text order."""
    names = sorted({tag for row in rows for tag in row})
    try:
        return tuple(sorted(names, key=float))
    except ValueError:
        return tuple(names)


def check_pairs(
    frame: Frame, words: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]
) -> None:
    """Each word has a tag. Raises DataError."""
    counts = [(len(a), len(b)) for a, b in zip(words, tags, strict=True)]
    bad = [i for i, (a, b) in enumerate(counts) if a != b]
    if bad:
        here, there = counts[bad[0]]
        raise DataError(
            f"{frame.origin}: words and tags differ in number in"
            f" {spoken_rows(_numbers(frame, bad))} (first: {here} words, {there} tags); each word"
            " needs one tag"
        )


def _each(frame: Frame, column: str, setting: str, read: Callable[[Any], T]) -> list[T]:
    """`read` of each row; all rows that it finds wrong in one message."""
    if column not in frame.columns:
        raise DataError(
            f"{frame.origin}: {setting}: no column `{column}`; {exists(column, frame.columns)}"
        )
    if frame.kind(column) not in ("text", "array"):
        raise DataError(
            f"{frame.origin}: {setting}: column `{column}` holds {frame.kind(column)}s, not lists"
        )
    made: list[T] = []
    bad: dict[int, str] = {}
    for i, value in enumerate(frame[column]):
        try:
            if value is None:
                raise WrongRowError("the value is missing")
            made.append(read(value))
        except WrongRowError as error:
            bad[i] = str(error)
    if bad:
        where, reason = spoken_rows(_numbers(frame, list(bad))), next(iter(bad.values()))
        first = "" if len(bad) == 1 else "first: "
        raise DataError(f"{frame.origin}: {setting}: column `{column}`, {where}: {first}{reason}")
    return made


def _json(text: Any) -> Any:
    try:
        found = json.loads(text)
        json.dumps(found, ensure_ascii=False).encode()
        return found
    except UnicodeEncodeError:
        raise WrongRowError("holds half of a character (a lone surrogate)") from None
    except (ValueError, TypeError, RecursionError):
        raise WrongRowError("not a JSON list; write `[…]` with double quotes") from None


def _numbers(frame: Frame, places: Sequence[int]) -> list[int]:
    return [int(frame.rows[i]) for i in places]
