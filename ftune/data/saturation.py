"""Where a base's statistics make different values one: a fine-tuning fits those columns anew."""

from __future__ import annotations

from typing import Any

import numpy as np

from ftune.data.frame import Array, Frame, State
from ftune.data.transforms.choose import numbers

MOST = 0.5
"""A column is fitted anew where more of its training values than this share are saturated."""
USUAL = 0.05
"""A larger share than this is told of; a transform that saturates by design adds its own."""


def in_reach(
    transform: Any, frame: Frame, known: State, keep: bool, notes: list[str] | None
) -> State:
    """The states in `known` that tell most values of `frame` apart; all where `keep`.

    A transform saturates where it gives all values beyond a bound (almost) one result:
    `saturated(values, state) -> mask`. notes: gets a sentence about the columns left out, and one
    about those that stay though an unusual share of their values is beyond.
    """
    if not transform.saturates:
        return known
    numeric = [n for n in known if n in frame.columns and frame.kind(n) == "number"]
    counts = {name: _count(transform, frame, name, known[name]) for name in numeric}
    share = {name: beyond / rows for name, (beyond, rows) in counts.items() if rows}
    far = [] if keep else [name for name in share if share[name] > MOST]
    usual = USUAL + 2 * transform.saturated_share
    some = [name for name in share if name not in far and share[name] > usual]
    if notes is not None:
        notes += _sentences(transform, counts, far, some)
    return {name: state for name, state in known.items() if name not in far}


def _count(transform: Any, frame: Frame, name: str, state: dict[str, Any]) -> tuple[int, int]:
    """How many known values are saturated, and how many there are."""
    values: Array = numbers(frame, name)
    values = values[~np.isnan(values)]
    return int(transform.saturated(values, state).sum()), len(values)


def _sentences(
    transform: Any, counts: dict[str, tuple[int, int]], far: list[str], some: list[str]
) -> list[str]:
    from ftune.data import TRANSFORMS
    from ftune.data.transforms.choose import enumerated

    name = TRANSFORMS.name_of(type(transform))
    cause = f"{name}: training values lie where the base's statistics hardly tell them apart: "
    ends = {
        ". Fitted anew on the new rows; `data.statistics: keep` keeps the base's.": far,
        ". The base's statistics stay; `data.statistics: refit` fits them anew.": some,
    }
    return [
        cause + enumerated([_spoken(column, *counts[column]) for column in columns]) + end
        for end, columns in ends.items()
        if columns
    ]


def _spoken(column: str, beyond: int, rows: int) -> str:
    return f"{beyond:,} of {rows:,} of `{column}`"
