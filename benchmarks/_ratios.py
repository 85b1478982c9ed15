"""Medians of what each side measured, and ratios to its rivals."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Result = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """The sides that are compared: `key` is larger where a side is better.

    bases: the rivals to which speed and memory are set in ratio. ladder: sides of which each has
    one thing more than the one before. once: sides of the first round only, for what is no speed.
    """

    name: str
    sides: Sequence[str]
    bases: Sequence[str]
    key: str
    ladder: Sequence[str] = ()
    once: Sequence[str] = ()


def rows(table: Table, results: Mapping[str, Sequence[Result]]) -> Result:
    """Medians of all figures, and of the ratios to each base that was measured."""
    bases = [base for base in table.bases if base in results]
    lines = []
    for side in table.sides:
        if side not in results or side in table.once:
            continue
        row: Result = {"side": side} | medians(results[side])
        for base in bases:
            row[f"ratio to {base}"] = ratios(results, side, base, table.key)
            if "peak_bytes" in row:
                row[f"memory of {base}"] = ratios(results, side, base, "peak_bytes")
        lines.append(row)
    ladder = [side for side in table.ladder if side in results]
    return {
        "name": table.name,
        "key": table.key,
        "rows": lines,
        "ladder": [
            [side, ratios(results, side, before, table.key)[0]]
            for before, side in itertools.pairwise(ladder)
        ],
    }


def medians(results: Sequence[Result]) -> dict[str, float]:
    """The median of each figure over the rounds."""
    names = [name for name, value in results[0].items() if is_figure(value)]
    return {name: statistics.median(one[name] for one in results) for name in names}


def ratios(results: Mapping[str, Sequence[Result]], side: str, base: str, key: str) -> list[float]:
    """Median, least and largest of the ratios within a round."""
    pairs = zip(results[side], results[base], strict=False)
    values = [one[key] / other[key] for one, other in pairs]
    return [round(float(f(values)), 3) for f in (statistics.median, min, max)]


def is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
