"""Median 0, spread 1, and no value far away: a scale that outliers neither set nor escape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.config.fields import setting
from ftune.data.transforms.each import ColumnTransform

if TYPE_CHECKING:
    from ftune.data.frame import Array, Frame, Kind, State

NORMAL = 1.3489795003921634
"""The distance of the quartiles of a normal distribution, in its deviations."""
FAR = 2.0
"""Values this many bounds from the median are reported as outliers."""
FEW, FEW_SHARE = 10, 0.01
"""A column is nearly constant where fewer rows, and a smaller share, have another value."""


@dataclass(frozen=True)
class Robust(ColumnTransform):
    """Subtracts the median, divides by the quartiles' distance (of a normal column: by its
    deviation), and draws far values in, so that none is beyond the bound.

    Where the quartiles are one value, the other values' median distance to it is the scale; where
    those are few, a value beyond the range of the training rows is taken as its nearest end, as
    hardly any row tells what lies there. After "robust scaling and smooth clipping" (Holzmüller et
    al. 2024, arXiv:2407.04491). Arrays are standardized.
    """

    saturates = True
    of: ClassVar[tuple[Kind, ...]] = ("number", "array")

    bound: float = setting(3.0, above=0)
    """What z approaches: z / sqrt(1 + (z / bound)²)."""
    columns: list[str] | None = setting(None)
    """Which columns; null: all numbers and arrays (not what one_hot and ordinal make)."""

    def learnt(self, frame: Frame, name: str) -> dict[str, Any]:
        from ftune.data.transforms.choose import known
        from ftune.data.transforms.standardize import moments

        values = known(frame, name)
        if frame.kind(name) == "array":
            return moments(values)
        column = _quartiles(values)
        far = abs(values - column["mean"]) > FAR * self.bound * column["scale"]
        return column | {"far": int(far.sum())}

    def saturated(self, values: Array, column: dict[str, Any]) -> Array:
        """Which values get the result of an end of the range, or almost that of the bound."""
        low, high = column.get("range", (-float("inf"), float("inf")))
        far = abs(values - column["mean"]) > FAR * self.bound * column["scale"]
        mask: Array = (values < low) | (values > high) | far
        return mask

    def changed(self, frame: Frame, name: str, column: dict[str, Any]) -> Array:
        from ftune.data.transforms.choose import numbers
        from ftune.data.transforms.exact import standardized

        values = numbers(frame, name)
        if "range" in column:
            values = _within(values, *column["range"])
        scaled = standardized(values, column)
        return scaled if frame.kind(name) == "array" else _bounded(scaled, self.bound)

    def notes(self, state: State) -> list[str]:
        """What was drawn in, and which columns are nearly constant."""
        from ftune.data.transforms.choose import sentence

        far = [f"`{name}` ({c['far']:,})" for name, c in state.items() if c.get("far")]
        few = [f"`{name}` ({_spoken(c)})" for name, c in state.items() if "range" in c]
        limit = f"{FAR * self.bound:g} deviations from the median"
        return [
            *sentence(f"robust: training values more than {limit} were drawn in", far),
            *sentence(
                "robust: nearly constant columns, of which values beyond the range of the training"
                " rows count as its ends",
                few,
            ),
        ]


def _quartiles(values: Array) -> dict[str, Any]:
    """`mean` (the median) and `scale`; where few rows are another value, `range` and how many."""
    import numpy as np

    low, median, high = (float(q) for q in np.quantile(values, [0.25, 0.5, 0.75]))
    if high > low:
        return {"mean": median, "scale": (high - low) / NORMAL}
    distances = np.abs(values - median)
    others = distances[distances > 0]
    column = {"mean": median, "scale": float(np.median(others)) if others.size else 1.0}
    if others.size >= max(FEW, FEW_SHARE * len(values)):
        return column
    return column | {"range": [float(values.min()), float(values.max())], "others": others.size}


def _within(values: Array, low: float, high: float) -> Array:
    """`values` with the finite ones moved into the range; infinite ones are refused later on."""
    import numpy as np

    return np.where(np.isinf(values), values, np.clip(values, low, high))


def _bounded(z: Array, bound: float) -> Array:
    """z / sqrt(1 + (z / bound)²); what is infinite stays so."""
    import numpy as np

    bounded: Array = z / np.hypot(1.0, np.where(np.isinf(z), 0.0, z) / bound)
    return bounded


def _spoken(column: dict[str, Any]) -> str:
    low, high = column["range"]
    rows = f"{column['others']:,} {'row differs' if column['others'] == 1 else 'rows differ'}"
    return f"{low:.15g} to {high:.15g}, {rows}" if column["others"] else f"always {low:.15g}"
