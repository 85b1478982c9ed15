"""Means and differences of numbers that are large beside their spread: timestamps, long ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftune.data.frame import Array


def mean_of(values: Array) -> tuple[float, float]:
    """Returns the mean of `values` [n] float64 as a float64 and what rounding to it lost.

    Sums of the values themselves would round: 1.7e18 (unix nanoseconds) has a last place of 256.
    Differences of such values are exact (Sterbenz), so the mean is taken of those to a middle one.
    """
    origin = float(values[len(values) // 2])
    shift = float((values - origin).mean())
    mean = origin + shift
    return mean, (origin - mean) + shift


def standardized(values: Array, column: Mapping[str, Any]) -> Array:
    """Returns `values` minus the mean in `column`, by its scale; 0.1 stored no `rest`."""
    difference: Array = values - column["mean"]
    rest = column.get("rest", 0.0)
    result: Array = (difference - rest if rest else difference) / column["scale"]
    return result
