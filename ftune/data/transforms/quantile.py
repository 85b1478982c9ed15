"""Ranks instead of values: any distribution becomes a normal or uniform one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ftune.config.fields import setting
from ftune.data.transforms.each import ColumnTransform

if TYPE_CHECKING:
    from ftune.data.frame import Array, Frame

TAIL = 1e-7
"""Ranks end this far from 0 and 1, so that the normal ends at ±5.2 (as scikit-learn does)."""


@dataclass(frozen=True)
class Quantile(ColumnTransform):
    """Maps values through their empirical distribution; outliers lose their reach.

    A column that is constant in the training rows gives the middle there, exactly (scikit-learn:
    the low end, -5.2).
    """

    invertible = True
    saturates = True

    to: Literal["normal", "uniform"] = setting("normal")
    """The distribution of the result."""
    quantiles: int = setting(1000, at_least=2)
    """How many points of the distribution are kept (at most the number of training rows)."""
    columns: list[str] | None = setting(None)
    """Which columns; null: all numbers."""

    def learnt(self, frame: Frame, name: str) -> dict[str, Any]:
        import numpy as np

        from ftune.data.transforms.choose import known

        values = known(frame, name)
        grid = np.linspace(0, 1, min(self.quantiles, len(values)))
        return {"points": np.maximum.accumulate(np.quantile(values, grid))}

    def saturated(self, values: Array, column: dict[str, Any]) -> Array:
        """Which values lie beyond all that were seen."""
        mask: Array = (values < column["points"][0]) | (values > column["points"][-1])
        return mask

    def changed(self, frame: Frame, name: str, column: dict[str, Any]) -> Array:
        from ftune.data.transforms.choose import numbers

        return self._forward(numbers(frame, name), column["points"])

    def _forward(self, values: Array, points: Array) -> Array:
        """The mean of the lowest and highest rank, so that repeated values sit in their middle."""
        import numpy as np

        grid = np.linspace(0, 1, len(points))
        low = np.interp(values, points, grid)
        high = -np.interp(-values, -points[::-1], -grid[::-1])
        ranks = np.where(
            values <= points[0], 0, np.where(values >= points[-1], 1, (low + high) / 2)
        )
        if points[0] == points[-1]:
            ranks = np.where(values == points[0], 0.5, ranks)
        ranks = np.where(np.isnan(values), np.nan, ranks)
        if self.to == "uniform":
            return np.asarray(ranks)
        import torch

        result: Array = torch.special.ndtri(
            torch.from_numpy(np.clip(ranks, TAIL, 1 - TAIL))
        ).numpy()
        return result

    def invert(self, values: Array, column: dict[str, Any]) -> Array:
        import numpy as np

        ranks = values
        if self.to == "normal":
            import torch

            ranks = torch.special.ndtr(torch.from_numpy(np.ascontiguousarray(values))).numpy()
        points = column["points"]
        result: Array = np.interp(ranks, np.linspace(0, 1, len(points)), points)
        return result
