"""Bounds for outliers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.data.transforms.each import ColumnTransform

if TYPE_CHECKING:
    from ftune.data.frame import Array, Frame


@dataclass(frozen=True)
class Clip(ColumnTransform):
    """Moves values beyond the bounds to the bounds; the inverse of a target changes nothing."""

    invertible = True
    saturates = True

    quantile: float | None = setting(None, above=0, below=0.5)
    """Share of training rows beyond either bound: 0.01 is the 1st and 99th percentile."""
    low: float | None = setting(None)
    """Lower bound, in the column's unit; null: none, or that of `quantile`."""
    high: float | None = setting(None)
    """Upper bound, in the column's unit; null: none, or that of `quantile`."""
    columns: list[str] | None = setting(None)
    """Which columns; null: all numbers."""

    def __post_init__(self) -> None:
        if self.quantile is None and self.low is None and self.high is None:
            raise SettingError("quantile", "clip needs a `quantile`, or `low`, `high` or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise SettingError("low", f"{self.low:g} is above `high`, {self.high:g}")

    @property
    def learns(self) -> bool:
        return self.quantile is not None and None in (self.low, self.high)

    @property
    def saturated_share(self) -> float:
        """The share of the rows it was fitted on that a learnt bound moves."""
        return (self.quantile or 0.0) * sum(bound is None for bound in (self.low, self.high))

    def saturated(self, values: Array, column: dict[str, Any]) -> Array:
        """Which values a learnt bound moves; those that the file states are meant."""
        low = column["low"] if self.learns and self.low is None else -float("inf")
        high = column["high"] if self.learns and self.high is None else float("inf")
        mask: Array = (values < low) | (values > high)
        return mask

    def learnt(self, frame: Frame, name: str) -> dict[str, Any]:
        import numpy as np

        from ftune.data.transforms.choose import known

        low, high = self.low, self.high
        if self.quantile is not None:
            quantiles = np.quantile(known(frame, name), [self.quantile, 1 - self.quantile])
            low = float(quantiles[0]) if low is None else low
            high = float(quantiles[1]) if high is None else high
        return {"low": low, "high": high}

    def changed(self, frame: Frame, name: str, column: dict[str, Any]) -> Array:
        import numpy as np

        from ftune.data.transforms.choose import numbers

        return np.clip(numbers(frame, name), column["low"], column["high"])

    def invert(self, values: Array, column: dict[str, Any]) -> Array:  # noqa: ARG002
        return values
