"""All columns of a table side by side, for eyes of 80 columns and for the run folder."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ftune.console import Console
from ftune.data.frame import Frame
from ftune.data.once import answered
from ftune.data.profile.columns import LABELS, Column, column_of, shortened
from ftune.data.profile.leaks import Leak, each

if TYPE_CHECKING:
    from ftune.data.kind import TargetKind
    from ftune.data.schema import Data

MOST = 40
"""More columns than this are summed up; those with remarks are always shown."""
NAME, VALUES = 22, 36
HEAD = ("column", "is", "gaps", "values")


@dataclass(frozen=True)
class Profile:
    """What the columns of `rows` rows hold; leaks: which of them give a target away."""

    rows: int
    columns: list[Column]
    leaks: list[Leak] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        leaks = [{"column": e.column, "target": e.target, "score": e.score} for e in self.leaks]
        columns = [column.to_json() for column in self.columns]
        return {"rows": self.rows, "columns": columns, "leaks": leaks}

    def using(self, used: Container[str]) -> Profile:
        """The same where it is known by now which columns are inputs."""
        columns = [
            replace(c, role="dropped") if c.role == "input" and c.name not in used else c
            for c in self.columns
        ]
        return Profile(self.rows, columns, [leak for leak in self.leaks if leak.column in used])

    @property
    def shown(self) -> list[Column]:
        """All of few; of many the first, the targets, and those with something to say."""
        if len(self.columns) <= MOST:
            return self.columns
        notable = [c for c in self.columns if c.remarks or c.role == "target"][:MOST]
        first = [c for c in self.columns if c not in notable][: max(5, MOST // 2 - len(notable))]
        return [c for c in self.columns if c in notable or c in first]

    def table(self) -> list[tuple[object, ...]]:
        """The rows of a table with HEAD."""
        return [(shortened(c.name, NAME), _what(c), c.gaps, _values(c)) for c in self.shown]

    def rest(self) -> str:
        """The columns that `table` does not show, counted; empty where it shows all."""
        others = [c for c in self.columns if c not in self.shown]
        kinds: dict[str, int] = {}
        for column in others:
            kinds[column.holds] = kinds.get(column.holds, 0) + 1
        counts = ", ".join(f"{count:,} {kind}{'s' * (count > 1)}" for kind, count in kinds.items())
        gaps = sum(column.gaps > 0 for column in others)
        more = f"; {gaps:,} of them with gaps" if gaps else ""
        return f"{len(others):,} columns more: {counts}{more}" if others else ""


def profile(frame: Frame, data: Data, kind: TargetKind) -> Profile:
    """Of the rows of a frame."""
    return answered("profile", (id(frame), data, kind), lambda: _profiled(frame, data, kind))


def _profiled(frame: Frame, data: Data, kind: TargetKind) -> Profile:
    roles = _roles(frame, data)
    classes = [*data.targets] if kind in ("classes", "labels") else []
    tagged = data.targets if data.separator and kind == "labels" else ()
    columns = [
        column_of(frame, n, roles[n], n in classes, data.separator if n in tagged else None)
        for n in frame.columns
    ]
    inputs = [c.name for c in columns if c.role == "input" and c.remarks != ["constant"]]
    inputs = [name for name in inputs if frame.kind(name) not in ("sequence", "image")]
    table = data.kind == "table" and kind in ("classes", "labels", "numbers")
    leaks = list(each(frame, inputs, data.targets, kind)) if table else []
    return Profile(len(frame), columns, leaks)


def show(profile: Profile, console: Console) -> None:
    """The table, what it leaves out, and the columns that give a target away."""
    console.table("", HEAD, profile.table())
    if profile.rest():
        console.info(profile.rest())
    for leak in profile.leaks:
        console.info(f"note: {leak}")


def _roles(frame: Frame, data: Data) -> Mapping[str, str]:
    """What each column is there for: input, target, group, or dropped."""
    inputs = set(_left(list(frame.columns), data))
    roles = {name: "input" if name in inputs else "dropped" for name in frame.columns}
    roles |= {name: "target" for name in data.targets if name in roles}
    return roles | ({data.split.group: "group"} if data.split.group in roles else {})


def _left(names: list[str], data: Data) -> list[str]:
    """What leading `select` and `drop` leave; a text, a picture, a conversation stand alone."""
    from ftune.data.transforms.columns import Drop, Select

    for step in data.steps if data.kind == "table" else ():
        if isinstance(step, Select):
            names = [name for name in names if name in step.columns]
        elif isinstance(step, Drop):
            names = [name for name in names if name not in step.columns]
        else:
            break
    return names


def _what(column: Column) -> str:
    many = f" of {column.distinct:,}" if column.holds == "text" and column.distinct else ""
    if column.role == "target":
        of = LABELS if column.holds == LABELS else "classes"
        return f"target{many or (f', {column.distinct:,} {of}' if column.top else '')}"
    return column.role if column.role != "input" else f"{column.holds}{many}"


def _values(column: Column) -> str:
    phrases = list(column.remarks)
    if "constant" in column.remarks:
        phrases = [
            f"constant: {shortened(str(column.top[0][0] if column.top else column.low), VALUES)}"
        ]
    elif column.top and (not phrases or column.holds == LABELS):
        phrases = [_most_frequent(column), *phrases]
    elif column.low is not None:
        phrases = [f"{_spoken(column.low)} to {_spoken(column.high)}", *phrases]
    return "; ".join(phrases)


def _most_frequent(column: Column) -> str:
    """As many of the first values as fit; of classes with their rows."""
    parts: list[str] = []
    for value, rows in column.top:
        part = shortened(value, 14) + (f" ({rows:,})" if column.role == "target" else "")
        if len(", ".join([*parts, part])) > VALUES - 3:
            break
        parts.append(part)
    more = ["…"] if (column.distinct or 0) > len(parts) else []
    return ", ".join([*parts, *more])


def _spoken(end: str | float | None) -> str:
    if not isinstance(end, float):
        return str(end)
    return f"{end:,.0f}" if end.is_integer() and abs(end) < 1e15 else f"{end:.4g}"
