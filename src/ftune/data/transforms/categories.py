"""The categories of a text column, as one_hot and ordinal see them."""

from __future__ import annotations

import numpy as np

from ftune.data.frame import Array, Frame, as_text
from ftune.errors import DataError


def texts(frame: Frame, name: str) -> Array:
    """[rows] object: a column of categories; whole numbers are categories too."""
    if frame.kind(name) not in ("text", "number"):
        raise DataError(
            f"{frame.origin}: column `{name}` holds {frame.kind(name)}s, not categories"
        )
    return as_text(frame[name])


def frequent(values: Array, min_count: int, most: int | None) -> list[str]:
    """The categories with at least `min_count` rows, at most `most` of them, in text order."""
    known = np.array([value for value in values if value is not None], dtype=str)
    names, counts = np.unique(known, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return sorted(str(names[i]) for i in order if counts[i] >= min_count)


def codes(values: Array, categories: list[str]) -> Array:
    """[rows] int64: the place of each value in `categories`, from 1; 0 for unknown or missing."""
    place = {category: i for i, category in enumerate(categories, 1)}
    return np.fromiter((place.get(value, 0) for value in values), dtype=np.int64, count=len(values))
