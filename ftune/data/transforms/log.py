"""Orders of magnitude instead of amounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftune.config.fields import setting
from ftune.data.transforms.each import ColumnTransform

if TYPE_CHECKING:
    from ftune.data.frame import Array, Frame


@dataclass(frozen=True)
class Log(ColumnTransform):
    """sign(x) · log(1 + |x|): for amounts that span orders of magnitude, negative ones too."""

    invertible = True

    columns: list[str] | None = setting(None)
    """Which columns; null: all numbers."""

    def learnt(self, frame: Frame, name: str) -> dict[str, Any]:  # noqa: ARG002
        return {}

    def changed(self, frame: Frame, name: str, column: dict[str, Any]) -> Array:  # noqa: ARG002
        import numpy as np

        from ftune.data.transforms.choose import numbers

        values = numbers(frame, name)
        return np.sign(values) * np.log1p(np.abs(values))

    def invert(self, values: Array, column: dict[str, Any]) -> Array:  # noqa: ARG002
        import numpy as np

        with np.errstate(over="ignore"):  # a wild prediction becomes infinite, and is seen as such
            result: Array = np.sign(values) * np.expm1(np.abs(values))
        return result
