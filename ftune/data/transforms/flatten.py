"""Arrays as plain input columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftune.config.fields import setting
from ftune.data.transforms.transform import Transform

if TYPE_CHECKING:
    from ftune.data.frame import Frame, State


@dataclass(frozen=True)
class Flatten(Transform):
    """Turns each row's array into a line of numbers, the inputs `image[0]`, `image[1]` …"""

    columns: list[str] | None = setting(None)
    """Which columns; null: all arrays."""

    def fit(self, frame: Frame, prior: State | None) -> State:  # noqa: ARG002
        from ftune.data.transforms.choose import chosen

        return {name: {} for name in chosen(frame, self.columns, "array")}

    def apply(self, frame: Frame, state: State) -> Frame:
        return frame.with_columns({name: frame[name].reshape(len(frame), -1) for name in state})
