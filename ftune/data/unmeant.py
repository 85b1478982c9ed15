"""Columns that nobody means as inputs: an index that was saved with a table, and nameless ones."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from ftune.data.frame import Frame
from ftune.data.referenced_columns import referenced_columns

if TYPE_CHECKING:
    from ftune.data.schema import Data

UNMEANT = re.compile(r"\s*|Unnamed: \d+[\w.]*|__index_level_\d+__")
"""No name, or what pandas calls a column without one."""


def is_unmeant(name: str) -> bool:
    return UNMEANT.fullmatch(name) is not None


def without_unmeant(
    parts: dict[str, Frame], data: Data, known: Iterable[str] = ()
) -> dict[str, Frame]:
    """Without such columns, said; those that `data` names stay, and those `known` to a model."""
    first = next(iter(parts.values()))
    types = data.source.declared_types
    named = {
        *known,
        *types,
        *(name for names in referenced_columns(data).values() for name in names),
    }
    gone = [name for name in first.columns if is_unmeant(name) and name not in named]
    if not gone:
        return parts
    message = note(gone)
    return {part: replace(frame.without(gone), notes={**frame.notes, "": message})
            for part, frame in parts.items()}  # fmt: skip


def note(names: list[str]) -> str:
    """What is said of them."""
    spoken = [f"`{name}`" if name.strip() else "the column without a name" for name in names]
    what = "an index that was saved with the table is" if len(names) == 1 else "such columns are"
    return (
        f"left out: {', '.join(spoken)}; {what} no input. Give it another name in the file to use"
        " it."
    )
