"""Mean 0, standard deviation 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.config.fields import setting
from ftune.data.transforms.each import ColumnTransform

if TYPE_CHECKING:
    from ftune.data.frame import Array, Frame, Kind


@dataclass(frozen=True)
class Standardize(ColumnTransform):
    """Subtracts the mean and divides by the standard deviation (1 where that is 0).

    Each numeric column has its own; an array (image) has one over all its values. A column that is
    constant in the training rows becomes exactly 0 there, however large its value.
    """

    invertible = True
    of: ClassVar[tuple[Kind, ...]] = ("number", "array")

    columns: list[str] | None = setting(None)
    """Which columns; null: all numbers and arrays (not what one_hot and ordinal make)."""

    def learnt(self, frame: Frame, name: str) -> dict[str, Any]:
        from ftune.data.transforms.choose import known

        return moments(known(frame, name))

    def changed(self, frame: Frame, name: str, column: dict[str, Any]) -> Array:
        from ftune.data.transforms.choose import numbers
        from ftune.data.transforms.exact import standardized

        return standardized(numbers(frame, name), column)

    def invert(self, values: Array, column: dict[str, Any]) -> Array:
        result: Array = values * column["scale"] + column.get("rest", 0.0) + column["mean"]
        return result


def moments(values: Array) -> dict[str, Any]:
    """The mean of `values` [n] float64 (with what its rounding lost) and the deviation, 1 for 0."""
    from ftune.data.transforms.exact import mean_of

    mean, rest = mean_of(values)
    return {"mean": mean, "rest": rest, "scale": _deviation(values - mean) or 1.0}


def _deviation(differences: Array) -> float:
    """Of differences to the mean: so it does not depend on how far from 0 the values lie."""
    import numpy as np

    with np.errstate(over="ignore"):
        deviation = float(differences.std())
    far = float(np.abs(differences).max())
    if (deviation and np.isfinite(deviation)) or not far:
        return deviation
    return float((differences / far).std()) * far  # squares beyond or below what a float64 holds
