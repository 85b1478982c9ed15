"""The role of each column of a table: target, group, time, input or none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ftune.commands.drafts.tags import separator_of
from ftune.data.frame import Array, Frame, as_text, exists
from ftune.data.profile.columns import IDENTIFIES, Column, column_of
from ftune.data.sources.dates import notations
from ftune.data.unlikely import constant
from ftune.errors import DataError, RequestError

TARGETS = re.compile(r"^(target|label|class|y|outcome|response|category|species)$", re.I)
GROUPS = re.compile(
    r"^(patient|subject|customer|client|user|person|speaker|household|group|session|device)"
    r"[ _.-]?(?P<end>id|no|nr|code|name|number)?$",
    re.I,
)
FREE_TEXT = (
    "free text, which a table cannot learn from beside its other columns; alone by `text: {name}`"
    " (see `ftune init text`)"
)
WORDS = 5
"""Texts of at least so many words on average, most of them unique, are free text."""
TEXTS = "`ftune init text` writes a configuration that learns from a column of texts alone"
MOST_CLASSES = 20
"""Whole numbers with more values than this are a quantity."""
ONCE = 0.5
"""A text column with a larger share of distinct values than this is no category."""


@dataclass(frozen=True)
class Guess:
    """A value and why it was chosen."""

    value: str
    why: str


@dataclass(frozen=True)
class Roles:
    """drop: columns that are no input -> why. group, time: for the split. separator: of tags."""

    target: Guess
    task: Guess
    drop: dict[str, str]
    group: Guess | None
    time: Guess | None
    columns: tuple[Column, ...]
    separator: str = ""

    @property
    def classes(self) -> bool:
        return self.task.value == "classification"

    def inputs(self, kind: Literal["number", "text", "date"]) -> list[str]:
        """Return the input columns of a kind."""
        return [c.name for c in self.columns if c.holds == kind and c.role == "input"]


def roles_of(frame: Frame, given: str | None) -> Roles:
    """Guess all roles. Raises RequestError where the target is absent or cannot be one."""
    target = _target(frame, given)
    task, separator = _task(frame, target.value)
    group = _group(frame, target.value)
    time = None if group else _time(frame, target.value)
    columns = [column_of(frame, n, "input") for n in frame.columns if n != target.value]
    drop = _dropped(frame, columns, {group.value} if group else set())
    inputs = [c for c in columns if c.name not in drop and (not group or c.name != group.value)]
    if not inputs:
        hint = f"; {TEXTS}" if any(why.startswith("free text") for why in drop.values()) else ""
        raise DataError(
            f"{frame.origin}: beside `{target.value}` there is no column to learn from{hint}"
        )
    return Roles(target, task, drop, group, time, tuple(inputs), separator)


def _target(frame: Frame, given: str | None) -> Guess:
    names = list(frame.columns)
    if given is not None:
        if given not in names:
            raise RequestError(f"{frame.origin}: --target: no column `{given}`;"
                               f" {exists(given, names)}")  # fmt: skip
        return Guess(given, "")
    named = [name for name in names if TARGETS.match(name)]
    if len(named) == 1:
        return Guess(named[0], "by its name; --target COL takes another")
    return Guess(names[-1], "the last column; --target COL takes another")


def _task(frame: Frame, target: str) -> tuple[Guess, str]:
    """Return the task, and the separator of the tags where the target holds several."""
    kind, column = frame.kind(target), frame[target]
    if kind not in ("number", "text"):
        raise RequestError(f"{frame.origin}: the target `{target}` holds {kind}s; name a column of"
                           " numbers or texts: --target COL")  # fmt: skip
    texts = as_text(column[~frame.missing(target)]).astype(str)
    values, counts = np.unique(texts, return_counts=True)
    _check(frame, target, values, len(texts))
    if kind == "text":
        if separator := separator_of(texts.tolist()):
            several = sum(separator in text for text in texts)
            return Guess(
                "classification", f"{several:,} rows have several tags in `{target}`"
            ), separator
        return Guess("classification", f"{len(values):,} texts"), ""
    known = column[~np.isnan(column)]
    whole = bool((np.floor(known) == known).all())
    if whole and len(values) <= MOST_CLASSES and (len(values) == 2 or counts.min() > 1):
        other = "" if len(values) == 2 else "; regression, if they are a quantity"
        return Guess("classification", f"{len(values)} whole numbers{other}"), ""
    return Guess("regression", f"numbers from {known.min():,.6g} to {known.max():,.6g}"), ""


def _check(frame: Frame, target: str, values: Array, rows: int) -> None:
    """Raise DataError for a target that is constant, empty, or names the rows."""
    known = frame[target][~frame.missing(target)]
    if fault := constant(frame.origin, target, np.unique(known).tolist(), rows):
        raise DataError(f"{fault}: --target COL")
    if not rows:
        raise DataError(f"{frame.origin}: the target `{target}` is empty; name another column:"
                        " --target COL")  # fmt: skip
    text = frame.kind(target) == "text"
    named = not text and IDENTIFIES.search(target) and column_of(frame, target, "input").remarks
    if (text and len(values) > ONCE * rows and not separator_of(values.tolist())) or named:
        raise DataError(
            f"{frame.origin}: the target `{target}` has {len(values):,} different"
            f" {'texts' if text else 'numbers'} in {rows:,} rows, most of which come once: names"
            " of rows cannot be learnt; name another column: --target COL"
        )


def _group(frame: Frame, target: str) -> Guess | None:
    """Return a column that is named like a group (`patient_id`), and whose values repeat."""
    for name in frame.columns:
        match, kind = GROUPS.search(name), frame.kind(name)
        if name == target or not match or kind not in ("number", "text"):
            continue
        if kind == "number" and not match["end"]:  # how many households there are
            continue
        if frame.missing(name).any():
            continue
        count = len(np.unique(as_text(frame[name]).astype(str)))
        if 10 <= count <= len(frame) / 1.5:
            rows = len(frame) / count
            return Guess(name, f"{count:,} of them with {rows:.1f} rows each stay on one side")
    return None


def _time(frame: Frame, target: str) -> Guess | None:
    """Return a date column: the first of the file, or one by which the file is ordered."""
    for position, name in enumerate(frame.columns):
        if name == target or frame.kind(name) != "date" or frame.missing(name).any():
            continue
        dates = frame[name]
        ordered = bool((dates[1:] >= dates[:-1]).all())
        if dates.min() < dates.max() and (position == 0 or ordered):
            why = "the file is ordered by it" if ordered else "it leads the table"
            return Guess(name, f"{why}: the latest rows judge")
    return None


def _dropped(frame: Frame, columns: Sequence[Column], groups: set[str]) -> dict[str, str]:
    """Return the columns that are no inputs, with the reason; `groups` are left out."""
    drop: dict[str, str] = {}
    for column in columns:
        why = _useless(frame[column.name], column, len(frame))
        if why and column.name not in groups:
            drop[column.name] = why
    return drop


def _words(texts: Array) -> float:
    """Return the mean number of words of a text."""
    known = [len(text.split()) for text in texts if text is not None]
    return sum(known) / max(len(known), 1)


def _useless(values: Array, column: Column, rows: int) -> str:
    """Return why a column is no input; empty where it is one."""
    remark = column.remarks[0] if column.remarks else ""
    if column.holds == "text" and (examples := notations(values)):
        return f"dates in different notations ({'; '.join(examples)}): write them in one"
    unique = column.holds == "text" and (column.distinct or 0) > ONCE * rows
    if remark == "free text" or (unique and _words(values) >= WORDS):
        return FREE_TEXT.format(name=column.name)
    if remark or unique:
        return remark or "nearly every value once"
    if column.holds.startswith("array") and values.ndim > 3:
        return "more than an image a row"
    return ""
