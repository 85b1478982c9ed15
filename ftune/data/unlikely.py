"""Targets of which a model could learn nothing, or not what was asked."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from ftune.data.conform import NUMBER
from ftune.data.frame import Frame, as_text
from ftune.data.sources.files import TableFile

if TYPE_CHECKING:
    from ftune.data.schema import Data
    from ftune.data.target import Target

MOST_RARE = 10
"""Rows a class, on average: with fewer, and at least so many classes, fractions are amounts."""
_NUMBER = re.compile(NUMBER)


def unlikely(frame: Frame, data: Data, target: Target) -> str:
    """What is wrong with the target as a whole; empty where nothing is."""
    for name in target.names:
        column = frame[name]
        if target.kind == "numbers" and frame.kind(name) == "number":
            fault = constant(frame.origin, name, np.unique(column).tolist(), len(frame))
        elif target.kind == "classes" and data.classes is None:
            names = set(as_text(column)) - {None}
            fault = fractions(frame.origin, name, names, len(frame), data.source)
        else:
            continue
        if fault:
            return fault
    return ""


def constant(origin: str, name: str, values: Collection[Any], rows: int) -> str:
    """A number to predict that is the same in all of several rows."""
    if len(values) != 1 or rows < 2:
        return ""
    (value,) = values
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return (
        f"{origin}: the target `{name}` is {shown} in all {rows:,} rows; there is nothing to learn,"
        " name another column"
    )


def fractions(origin: str, name: str, names: Collection[str], rows: int, source: Any) -> str:
    """Classes that are numbers with fractions, nearly as many as rows: amounts, it seems."""
    declared = source.declared_types.get(name) == "text"
    if declared or len(names) < MOST_RARE or rows >= MOST_RARE * len(names):
        return ""
    whole = [text for text in names if _NUMBER.fullmatch(text) and float(text).is_integer()]
    if any(not _NUMBER.fullmatch(text) for text in names) or 2 * len(whole) > len(names):
        return ""
    shown = ", ".join(sorted(set(names) - set(whole))[:3])
    classes = (
        "data.classes` lists them"
        if not isinstance(source, TableFile)
        else f"types: {{{name}: text}}` says so"
    )
    return (
        f"{origin}: the target `{name}` has {len(names):,} different numbers with fractions"
        f" ({shown}, …) in {rows:,} rows, which are amounts rather than classes: write `task:"
        f" regression`; if they are classes, `{classes}"
    )
