"""Another unit, or a fixed range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.data.transforms.transform import Transform

if TYPE_CHECKING:
    from ftune.data.frame import Array, Frame, State


@dataclass(frozen=True)
class Scale(Transform):
    """Multiplies by a number, or maps the range of the training rows to a given one."""

    invertible = True

    by: float | None = setting(None)
    """The factor: 0.0625 brings pixels of 0 to 16 to 0 to 1."""
    range: list[float] | None = setting(None)
    """[low, high] that the smallest and largest training value become."""
    columns: list[str] | None = setting(None)
    """Which columns; null: all numbers and arrays."""

    def __post_init__(self) -> None:
        if (self.by is None) == (self.range is None):
            raise SettingError("by", "scale needs either `by` or `range`")
        if self.by == 0:
            raise SettingError("by", "0 would erase the column; expected another number")
        if self.range is not None and (len(self.range) != 2 or self.range[0] >= self.range[1]):
            raise SettingError("range", f"{self.range}: expected [low, high] with low below high")

    @property
    def learns(self) -> bool:
        return self.by is None

    def fit(self, frame: Frame, prior: State | None) -> State:
        from ftune.data.transforms.choose import chosen, fit_each

        names = chosen(frame, self.columns, "number", "array")
        return fit_each(names, prior, lambda name: self._line(frame, name))

    def _line(self, frame: Frame, name: str) -> dict[str, Any]:
        from ftune.data.transforms.choose import known

        if self.range is None:
            return {"factor": self.by, "offset": 0.0, "origin": 0.0}
        values = known(frame, name)
        low, high = float(values.min()), float(values.max())
        factor = (self.range[1] - self.range[0]) / ((high - low) or 1.0)
        # From `low`, not from 0: of timestamps 0 is so far that the difference would be rounded.
        return {"factor": factor, "offset": self.range[0], "origin": low}

    def apply(self, frame: Frame, state: State) -> Frame:
        from ftune.data.transforms.choose import numbers

        return frame.with_columns(
            {
                name: (numbers(frame, name) - _origin(c)) * c["factor"] + c["offset"]
                for name, c in state.items()
            }
        )

    def invert(self, values: Array, column: dict[str, Any]) -> Array:
        result: Array = (values - column["offset"]) / column["factor"] + _origin(column)
        return result


def _origin(column: dict[str, Any]) -> float:
    """What is subtracted first; version 0.1 had it in the offset."""
    return float(column.get("origin", 0.0))
