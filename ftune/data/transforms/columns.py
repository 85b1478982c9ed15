"""Which columns the model sees, and under which names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ftune.config.fields import setting
from ftune.data.transforms.transform import Transform

if TYPE_CHECKING:
    from ftune.data.frame import Frame, State


@dataclass(frozen=True)
class Listed(Transform):
    """What concerns the columns that it lists."""

    touches = False

    columns: list[str] = setting()
    """Names of the columns."""

    def fit(self, frame: Frame, prior: State | None) -> State:  # noqa: ARG002
        return {name: {} for name in self.columns if frame[name] is not None}


@dataclass(frozen=True)
class Select(Listed):
    """Keeps these columns, in this order."""

    columns: list[str] = setting()
    """Names of the columns to keep."""

    def apply(self, frame: Frame, state: State) -> Frame:
        return replace(frame, columns={name: frame[name] for name in state})


@dataclass(frozen=True)
class Drop(Listed):
    """Leaves these columns out."""

    columns: list[str] = setting()
    """Names of the columns to leave out."""

    def apply(self, frame: Frame, state: State) -> Frame:
        return frame.without(state)


@dataclass(frozen=True)
class DropConstant(Transform):
    """Leaves out columns that hold one value in all training rows, or none at all.

    Gaps in numbers and dates do not count as a value, those in texts do. Arrays stay.
    """

    touches = False

    columns: list[str] | None = setting(None)
    """Which columns may be left out; null: all but arrays."""

    def fit(self, frame: Frame, prior: State | None) -> State:
        """A column that a base has as an input stays one: its weights count on the value."""
        from ftune.data.transforms.choose import chosen

        names = chosen(frame, self.columns, "number", "text", "date", "flag", "code")
        used = {name for name, column in (prior or {}).items() if not column["constant"]}
        return {n: {"constant": n not in used and is_constant(frame, n)} for n in names}

    def apply(self, frame: Frame, state: State) -> Frame:
        return frame.without(name for name, column in state.items() if column["constant"])

    def notes(self, state: State) -> list[str]:
        from ftune.data.transforms.choose import sentence

        names = [f"`{name}`" for name, column in state.items() if column["constant"]]
        intro = "drop_constant: left out, as they are the same in all training rows"
        return sentence(intro, names)


def is_constant(frame: Frame, name: str) -> bool:
    """Whether a column of one dimension holds at most one value."""
    column, gaps = frame[name], frame.missing(name)
    known = column[~gaps]
    if not len(known):
        return True
    return bool((known == known[0]).all()) and not (frame.kind(name) == "text" and gaps.any())


@dataclass(frozen=True)
class Rename(Transform):
    """Gives columns other names, e.g. those that the base model knows."""

    touches = False

    names: dict[str, str] = setting(open=True)
    """Old name -> new name."""

    def fit(self, frame: Frame, prior: State | None) -> State:  # noqa: ARG002
        return {old: {"new": new} for old, new in self.names.items() if frame[old] is not None}

    def apply(self, frame: Frame, state: State) -> Frame:
        return frame.replaced({old: {c["new"]: frame[old]} for old, c in state.items()})
