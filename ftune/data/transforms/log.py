"""Orders of magnitude instead of amounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftune.config.fields import setting
from ftune.data.transforms.transform import Transform

if TYPE_CHECKING:
    from ftune.data.frame import Array, Frame, State


@dataclass(frozen=True)
class Log(Transform):
    """sign(x) · log(1 + |x|): for amounts that span orders of magnitude, negative ones too."""

    invertible = True

    columns: list[str] | None = setting(None)
    """Which columns; null: all numbers."""

    def fit(self, frame: Frame, prior: State | None) -> State:  # noqa: ARG002
        from ftune.data.transforms.choose import chosen, numbers

        names = chosen(frame, self.columns, "number")
        return {name: {} for name in names if numbers(frame, name) is not None}

    def apply(self, frame: Frame, state: State) -> Frame:
        import numpy as np

        from ftune.data.transforms.choose import numbers

        columns = {name: numbers(frame, name) for name in state}
        return frame.with_columns({n: np.sign(x) * np.log1p(np.abs(x)) for n, x in columns.items()})

    def invert(self, values: Array, column: dict[str, Any]) -> Array:  # noqa: ARG002
        import numpy as np

        with np.errstate(over="ignore"):  # a wild prediction becomes infinite, and is seen as such
            result: Array = np.sign(values) * np.expm1(np.abs(values))
        return result
