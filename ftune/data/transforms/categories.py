"""The categories of a text column, as one_hot and ordinal see them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ftune.data.frame import Array, Frame, State, as_text, row_count
from ftune.data.spellings import places
from ftune.data.transforms.choose import sentence
from ftune.errors import DataError


def texts(frame: Frame, name: str) -> Array:
    """[rows] object: a column of categories; whole numbers are categories too."""
    if frame.kind(name) not in ("text", "number"):
        raise DataError(
            f"{frame.origin}: column `{name}` holds {frame.kind(name)}s, not categories"
        )
    return as_text(frame[name])


def usual_min_count(rows: int) -> int:
    """The rows that a category needs of its own: one in 2,000, at least 2 and at most 10.

    One row says nothing about the next of its category; and 2,000 flags a column are enough.
    """
    return min(10, max(2, rows // 2000))


def frequent(
    values: Array, min_count: int | None, most: int | None
) -> tuple[list[str], dict[str, Any]]:
    """The categories with at least `min_count` rows (None: the usual), at most `most` of them.

    Returns their names in text order; and of the others `merged`, how many categories and rows, and
    `of`, how many categories there are. Nothing where there are no others.
    """
    known = np.array([value for value in values if value is not None], dtype=str)
    names, counts = np.unique(known, return_counts=True)
    least = usual_min_count(len(values)) if min_count is None else min_count
    order = np.argsort(-counts, kind="stable")[:most]
    common = order[counts[order] >= least]
    rare = len(names) - len(common)
    rows = int(counts.sum() - counts[common].sum())
    count = {"merged": [rare, rows], "of": len(names)} if rare else {}
    return sorted(str(names[i]) for i in common), count


def merged_note(transform: str, state: State, become: str) -> list[str]:
    """One sentence about the categories that have no place of their own, if there are any."""
    parts = [
        f"`{name}` ({c['merged'][0]:,} of {c['of']:,} categories, {row_count(c['merged'][1])})"
        for name, c in state.items()
        if "merged" in c
    ]
    return sentence(f"{transform}: rare categories {become}", parts)


def codes(values: Array, categories: list[str]) -> Array:
    """[rows] int64: the place of each value in `categories`, from 1; 0 for unknown or missing."""
    return places(values, categories) + 1
