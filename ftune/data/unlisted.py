"""What the training rows hold that the statistics of a base do not know of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ftune.data.frame import Frame, State, row_count
from ftune.data.spellings import places
from ftune.data.transforms.categories import texts

if TYPE_CHECKING:
    from ftune.data.lineage import Step

SHOWN = 5


def unlisted(transform: Any, frame: Frame, known: State) -> list[str]:
    """What `known` does not list, in how many rows, and what becomes of it.

    frame: the columns as the transform gets them. Of categories there is a sentence a column; of
    other things a transform tells by `unlisted(frame, known)`.
    """
    subject = "categories of `{}` that the base's statistics do not list"
    refit = " `data.statistics: refit` lists them."
    categories = [sentence + refit for sentence in _sentences(frame, known, subject)]
    return [*transform.unlisted(frame, known), *categories]


def unseen_categories(frame: Frame, steps: Sequence[Step]) -> list[str]:
    """What new rows hold that the training rows had not, or too seldom: a sentence a column.

    frame: the raw columns of the new rows.
    """
    notes: list[str] = []
    subject = "categories of `{}` that training had not, or too seldom"
    if not any("categories" in column for step in steps for column in step.state.values()):
        return notes
    for step in steps:
        notes += _sentences(frame, step.state, subject)
        frame = step.transform.apply(frame, step.state)
    return notes


def _sentences(frame: Frame, known: State, said: str) -> list[str]:
    columns = {name: column for name, column in known.items() if "categories" in column}
    counts = {name: _counts(frame, name, column["categories"]) for name, column in columns.items()}
    return [
        _sentence(said.format(name), counts[name], columns[name])
        for name in columns
        if counts[name]
    ]


def _counts(frame: Frame, name: str, categories: list[str]) -> Counter[str]:
    every = Counter(value for value in texts(frame, name) if value is not None)
    listed = places(np.array(list(every), dtype=object), categories) >= 0
    return Counter(
        {value: every[value] for value, there in zip(every, listed, strict=True) if not there}
    )


def _sentence(said: str, counts: Counter[str], column: dict[str, Any]) -> str:
    shown = ", ".join(
        f"`{str(value)[:60]}` ({row_count(count)})"
        for value, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:SHOWN]
    )
    more = f" … ({len(counts):,} in all)" if len(counts) > SHOWN else ""
    # Only one_hot says whether there is a flag for the others; ordinal has code 0 for them.
    becomes = {True: "count as `other`", False: "set no flag", None: "count as unknown"}
    return f"{said}: {shown}{more}; they {becomes[column.get('other')]}."
