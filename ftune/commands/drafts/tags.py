"""Targets that are sets of tags in one column, and their separator."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ftune.data.conform import NUMBER

SEPARATORS = ";|,"
JOINED = 0.2
"""Least share of the rows with tags that have several."""
OFTEN = 5
"""Least mean number of rows that have a tag."""
_NUMBER = re.compile(NUMBER)


def separator_of(texts: Sequence[str]) -> str:
    """Return the separator of the tags in `texts`; empty where they are no sets of tags."""
    return next((separator for separator in SEPARATORS if _joins(separator, texts)), "")


def _joins(separator: str, texts: Sequence[str]) -> bool:
    """Tell whether rows differ in how many of a few frequent items they have."""
    rows = [[part for raw in text.split(separator) if (part := raw.strip())] for text in texts]
    items = Counter(item for row in rows for item in row)
    lengths = Counter(map(len, rows))
    several = sum(count for length, count in lengths.items() if length > 1)
    if several < JOINED * len(rows) or len(lengths) == 1 or all(map(_NUMBER.fullmatch, items)):
        return False
    sets = all(len(set(row)) == len(row) for row in rows)
    return sets and len(items) < len(set(texts)) and items.total() >= OFTEN * len(items)
