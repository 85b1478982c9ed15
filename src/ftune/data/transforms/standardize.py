"""Mean 0, standard deviation 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftune.config.fields import setting

if TYPE_CHECKING:
    from ftune.data.frame import Array, Frame, State


@dataclass(frozen=True)
class Standardize:
    """Subtracts the mean and divides by the standard deviation (1 where that is 0).

    Each numeric column has its own; an array (image) has one over all its values.
    """

    columns: list[str] | None = setting(None)
    """Which columns; null: all numbers and arrays (not what one_hot and ordinal make)."""

    def fit(self, frame: Frame, prior: State | None) -> State:
        from ftune.data.transforms.choose import chosen, fit_each, known

        def statistics(name: str) -> dict[str, Any]:
            values = known(frame, name)
            # The deviation of equal values is not exactly 0 in floating point.
            spread = 0.0 if values.min() == values.max() else float(values.std())
            return {"mean": float(values.mean()), "scale": spread or 1.0}

        return fit_each(chosen(frame, self.columns, "number", "array"), prior, statistics)

    def apply(self, frame: Frame, state: State) -> Frame:
        from ftune.data.transforms.choose import numbers

        return frame.with_columns(
            {name: (numbers(frame, name) - c["mean"]) / c["scale"] for name, c in state.items()}
        )

    def invert(self, values: Array, column: dict[str, Any]) -> Array:
        result: Array = values * column["scale"] + column["mean"]
        return result
