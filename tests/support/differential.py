"""Comparisons of ftune with references that somebody else wrote, drawn at random.

A comparison is a function of a random generator: it draws a case and returns what ftune gives and
what the reference gives. Called with `broken`, the reference makes a mistake that people make, and
the comparison must notice it: one that cannot fail proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

Draw = Callable[[np.random.Generator, bool], tuple[Any, Any]]
Table = Mapping[str, tuple[float, Draw]]
"""By name: the largest relative difference that is rounding, and the comparison."""

CONTROLS = 12  # draws of a broken comparison, one of which at least must show the mistake


def difference(ours: Any, theirs: Any) -> float:
    """The largest |a − b| / (1 + |b|) over all entries; infinite where the shapes differ."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if a.shape != b.shape:
        return np.inf
    if not a.size:
        return 0.0
    gap = np.abs(a - b) / (1 + np.abs(b))
    gap = np.where(np.isnan(a) & np.isnan(b), 0, gap)
    return float(np.nan_to_num(gap, nan=np.inf).max())


def differences(table: Table, name: str, seeds: range, broken: bool = False) -> Iterator[float]:
    """How far one comparison is off at each seed, in units of its tolerance."""
    tolerance, draw = table[name]
    for seed in seeds:
        ours, theirs = draw(np.random.default_rng([seed, *name.encode()]), broken)
        yield difference(ours, theirs) / tolerance


def each(table: Table) -> Callable[[Any], Any]:
    """Parametrizes a test by the names of the comparisons."""
    return pytest.mark.parametrize("name", table)


def agrees(table: Table, name: str, seeds: range = range(2)) -> None:
    """Fails where a draw differs by more than rounding, or no draw of the control does."""
    assert max(differences(table, name, seeds)) <= 1, "differs from the reference"
    controls = differences(table, name, range(CONTROLS), broken=True)
    assert any(gap > 1 for gap in controls), "the comparison does not notice a broken reference"
