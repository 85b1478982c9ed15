"""What transforms that treat each column alone have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ftune.data.transforms.transform import Transform

if TYPE_CHECKING:
    from ftune.data.frame import Array, Frame, Kind, State


class ColumnTransform(Transform):
    """Learns and changes one column after the other.

    of: what the columns hold that it takes where `columns` names none.
    """

    of: ClassVar[tuple[Kind, ...]] = ("number",)

    def fit(self, frame: Frame, prior: State | None) -> State:
        from ftune.data.transforms.choose import chosen, fit_each

        names = chosen(frame, self.columns, *self.of)
        return fit_each(names, prior, lambda name: self.learnt(frame, name))

    def learnt(self, frame: Frame, name: str) -> dict[str, Any]:
        """Return the statistics of a column of the training rows. Raises DataError."""
        raise NotImplementedError

    def apply(self, frame: Frame, state: State) -> Frame:
        columns = {name: self.changed(frame, name, column) for name, column in state.items()}
        return frame.with_columns(columns)

    def changed(self, frame: Frame, name: str, column: dict[str, Any]) -> Array:
        """Return what becomes of a column; column: its statistics. Raises DataError."""
        raise NotImplementedError
