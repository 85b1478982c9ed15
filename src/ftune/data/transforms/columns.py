"""Which columns the model sees, and under which names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ftune.config.fields import setting

if TYPE_CHECKING:
    from ftune.data.frame import Frame, State


@dataclass(frozen=True)
class Select:
    """Keeps these columns, in this order."""

    touches: ClassVar[bool] = False

    columns: list[str] = setting()
    """Names of the columns to keep."""

    def fit(self, frame: Frame, prior: State | None) -> State:  # noqa: ARG002
        return {name: {} for name in self.columns if frame[name] is not None}

    def apply(self, frame: Frame, state: State) -> Frame:
        from dataclasses import replace

        return replace(frame, columns={name: frame[name] for name in state})


@dataclass(frozen=True)
class Drop:
    """Leaves these columns out."""

    touches: ClassVar[bool] = False

    columns: list[str] = setting()
    """Names of the columns to leave out."""

    def fit(self, frame: Frame, prior: State | None) -> State:  # noqa: ARG002
        return {name: {} for name in self.columns if frame[name] is not None}

    def apply(self, frame: Frame, state: State) -> Frame:
        return frame.without(state)


@dataclass(frozen=True)
class Rename:
    """Gives columns other names, e.g. those that the base model knows."""

    touches: ClassVar[bool] = False

    names: dict[str, str] = setting(open=True)
    """Old name -> new name."""

    def fit(self, frame: Frame, prior: State | None) -> State:  # noqa: ARG002
        return {old: {"new": new} for old, new in self.names.items() if frame[old] is not None}

    def apply(self, frame: Frame, state: State) -> Frame:
        for old, column in state.items():
            frame = frame.replaced(old, {column["new"]: frame[old]})
        return frame
