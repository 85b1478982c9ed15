"""Columns of conversations, and of lists of words and tags, with what can be wrong in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ftune.data.frame import Frame, exists, label_text, spoken_rows
from ftune.data.text.turns import Keys, Turn, WrongRowError, counts, parsed, turns_of
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.text.text_columns import TextColumns

T = TypeVar("T")
SHOWN = 20
"""Kinds of faults in one message."""


@dataclass(frozen=True)
class Conversation:
    """The turns, and the tools that the model may call, as the template gets them."""

    turns: Sequence[Turn]
    tools: Sequence[Any] | None = None


def conversations(frame: Frame, columns: TextColumns, answers: bool = True) -> list[Conversation]:
    """The conversation of each row. Raises DataError that names rows; `answers`: each needs one."""
    keys = Keys(columns.role, columns.content, columns.roles)

    def read(value: Any) -> list[Turn]:
        turns = turns_of(value, keys)
        if answers and not any(map(counts, turns)):
            raise WrongRowError("no turn of the assistant, so there is nothing to learn")
        return turns

    rows = _each(frame, columns.messages or "", "data.messages", read)
    if columns.system is not None:
        texts = _optional(frame, columns.system, "data.messages.system", str)
        rows = [
            [{"role": "system", "content": text}, *turns] if text else turns
            for text, turns in zip(texts, rows, strict=True)
        ]
    if columns.tools is None:
        return [Conversation(turns) for turns in rows]
    tools = _optional(frame, columns.tools, "data.messages.tools", _tools)
    return [Conversation(turns, some or None) for turns, some in zip(rows, tools, strict=True)]


def check_asked(frame: Frame, rows: Sequence[Sequence[Turn]]) -> None:
    """Raises DataError for conversations without a turn to answer."""
    blank = np.array([not turns for turns in rows], dtype=bool)
    if blank.any():
        raise DataError(f"{frame.origin}: no turn to answer in {frame.where(blank)}")


def _tools(value: Any) -> list[Any]:
    tools = parsed(value)
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise WrongRowError("expected a list of tools, [{type: function, function: …}, …]")
    return tools


def _optional(frame: Frame, column: str, setting: str, read: Callable[[Any], T]) -> list[T | None]:
    """`read` of each row that has a value."""
    if column in frame.columns and frame.missing(column).all():
        return [None] * len(frame)
    return _each(frame, column, setting, lambda value: None if value is None else read(value), True)


def word_lists(frame: Frame, column: str, setting: str) -> list[list[str]]:
    """Words or tags of each row: a list, the same as JSON text, or a text with spaces between."""

    def read(value: Any) -> list[str]:
        numbers = isinstance(value, np.ndarray)
        words = [label_text(float(v)) for v in value] if numbers else _words(value)
        if not words:
            raise WrongRowError("the list is empty")
        blank = [i for i, word in enumerate(words, 1) if not word.strip()]
        if blank:
            raise WrongRowError(f"word {blank[0]} is blank")
        return words

    return _each(frame, column, setting, read)


def _words(value: str) -> list[str]:
    text = value.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return text.split()
    words = parsed(text)
    if not isinstance(words, list) or any(isinstance(v, list | dict) or v is None for v in words):
        raise WrongRowError("expected a flat list of words")
    return [label_text(v) for v in words]


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


def _each(
    frame: Frame, column: str, setting: str, read: Callable[[Any], T], gaps: bool = False
) -> list[T]:
    """`read` of each row; all rows that it finds wrong in one message. gaps: None is read too."""
    if column not in frame.columns:
        raise DataError(
            f"{frame.origin}: {setting}: no column `{column}`; {exists(column, frame.columns)}"
        )
    if frame.kind(column) not in ("text", "array"):
        raise DataError(
            f"{frame.origin}: {setting}: column `{column}` holds {frame.kind(column)}s, not lists"
        )
    values: list[T] = []
    faults: dict[str, list[int]] = {}
    for row, value in zip(frame.rows.tolist(), frame[column], strict=True):
        try:
            if value is None and not gaps:
                raise WrongRowError("the value is missing")
            values.append(read(value))
        except WrongRowError as error:
            faults.setdefault(str(error), []).append(row)
    if faults:
        raise DataError(f"{frame.origin}: {setting}: column `{column}`, {spoken_faults(faults)}")
    return values


def spoken_faults(faults: Mapping[str, list[int]]) -> str:
    """`row 3: no text; rows 5 and 9: …`: what is wrong, and where, up to SHOWN kinds."""
    parts = [f"{spoken_rows(rows)}: {fault}" for fault, rows in list(faults.items())[:SHOWN]]
    more = sum(len(rows) for rows in list(faults.values())[SHOWN:])
    return "; ".join(parts) + (f"; and {more:,} rows more" if more else "")


def _numbers(frame: Frame, places: Sequence[int]) -> list[int]:
    return [int(frame.rows[i]) for i in places]
