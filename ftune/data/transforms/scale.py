"""Another unit, or a fixed range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.data.transforms.each import ColumnTransform

if TYPE_CHECKING:
    from ftune.data.frame import Array, Frame, Kind


@dataclass(frozen=True)
class Scale(ColumnTransform):
    """Multiplies by a number, or maps the range of the training rows to a given one."""

    invertible = True
    of: ClassVar[tuple[Kind, ...]] = ("number", "array")

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

    def learnt(self, frame: Frame, name: str) -> dict[str, Any]:
        from ftune.data.transforms.choose import known

        if self.range is None:
            return {"factor": self.by, "offset": 0.0, "origin": 0.0}
        values = known(frame, name)
        low, high = float(values.min()), float(values.max())
        factor = (self.range[1] - self.range[0]) / ((high - low) or 1.0)
        # From `low`, not from 0: of timestamps 0 is so far that the difference would be rounded.
        return {"factor": factor, "offset": self.range[0], "origin": low}

    def changed(self, frame: Frame, name: str, column: dict[str, Any]) -> Array:
        from ftune.data.transforms.choose import numbers

        values = numbers(frame, name) - _offset_before(column)
        result: Array = values * column["factor"] + column["offset"]
        return result

    def invert(self, values: Array, column: dict[str, Any]) -> Array:
        result: Array = (values - column["offset"]) / column["factor"] + _offset_before(column)
        return result


def _offset_before(column: dict[str, Any]) -> float:
    """What is subtracted first; version 0.1 had it in the offset."""
    return float(column.get("origin", 0.0))
