"""Dates as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ftune.config.fields import setting
from ftune.data.transforms.each import ColumnTransform

if TYPE_CHECKING:
    from collections.abc import Callable

    from ftune.data.frame import Array, Frame, Kind, State

PERIODS = {
    "month": 12.0,
    "day": 31.0,
    "weekday": 7.0,
    "hour": 24.0,
    "minute": 60.0,
    "day_of_year": 365.2425,
}
"""How many of its units a part counts before it starts again."""


@dataclass(frozen=True)
class Date(ColumnTransform):
    """Replaces a date by its parts, named `sold.month`; a missing date gives missing parts."""

    of: ClassVar[tuple[Kind, ...]] = ("date",)

    columns: list[str] | None = setting(None)
    """Which columns; null: all dates."""
    parts: (
        list[Literal["year", "month", "day", "weekday", "hour", "minute", "day_of_year"]] | None
    ) = setting(None)
    """Which parts (Monday is 0); null: those of year, month, day, weekday and, if there are times,
    hour that vary in the training rows."""
    cyclic: bool = setting(False)
    """Whether parts that start again become a sine and a cosine (12 is next to 1)."""

    @property
    def learns(self) -> bool:
        return self.parts is None

    def unlisted(self, frame: Frame, known: State) -> list[str]:
        """Parts that vary in `frame` but are not made, as they did not where `known` was fitted."""
        from ftune.data.transforms.choose import sentence

        dates = {name: _dates(frame, name) for name in known if self.parts is None}
        parts = [
            f"`{name}.{part}`"
            for name, values in dates.items()
            for part in _usual(values)
            if part not in known[name]["parts"] and _varies(values, part)
        ]
        intro = "date: parts that vary now but did not in the base's rows are not made"
        return sentence(intro, parts, "; `data.statistics: refit` makes them.")

    def learnt(self, frame: Frame, name: str) -> dict[str, Any]:
        if self.parts is not None:
            return {"parts": list(self.parts)}
        dates = _dates(frame, name)
        usual = _usual(dates)
        still = [part for part in usual if not _varies(dates, part)]
        return {
            "parts": [p for p in usual if p not in still],
            **({"still": still} if still else {}),
        }

    def notes(self, state: State) -> list[str]:
        """The parts that were not made."""
        from ftune.data.transforms.choose import sentence

        still = [f"`{name}.{part}`" for name, c in state.items() for part in c.get("still", ())]
        return sentence("date: parts that are the same in all training rows are not made", still)

    def makes(self, name: str, column: dict[str, Any]) -> list[str]:
        """The columns that stand for a date, by name."""
        ends = {part: self._ends(part) for part in column["parts"]}
        return [f"{name}.{part}{end}" for part, some in ends.items() for end in some]

    def _ends(self, part: str) -> tuple[str, ...]:
        return (".sin", ".cos") if self.cyclic and part != "year" else ("",)

    def apply(self, frame: Frame, state: State) -> Frame:
        return frame.replaced({n: self._parts(frame, n, c["parts"]) for n, c in state.items()})

    def _parts(self, frame: Frame, name: str, parts: list[str]) -> dict[str, Array]:
        dates = _dates(frame, name)
        result: dict[str, Array] = {}
        for part in parts:
            result |= self._named(f"{name}.{part}", part, _part(dates, part))
        return result

    def _named(self, name: str, part: str, values: Array) -> dict[str, Array]:
        import numpy as np

        names = [f"{name}{end}" for end in self._ends(part)]
        if len(names) == 1:
            return {names[0]: values}
        angle = values * (2 * np.pi / PERIODS[part])
        return dict(zip(names, (np.sin(angle), np.cos(angle)), strict=True))


def _dates(frame: Frame, name: str) -> Array:
    from ftune.errors import DataError

    if frame.kind(name) != "date":
        raise DataError(
            f"{frame.origin}: column `{name}` holds {frame.kind(name)}s, not dates;"
            f" declare it (csv: `types: {{{name}: date}}`)"
        )
    return frame[name]


def _usual(dates: Array) -> list[str]:
    """The parts that are made where they vary."""
    import numpy as np

    times = (dates != dates.astype("datetime64[D]")) & ~np.isnat(dates)
    return ["year", "month", "day", "weekday", *(["hour"] if times.any() else [])]


def _varies(dates: Array, part: str) -> bool:
    import numpy as np

    values = _part(dates[~np.isnat(dates)], part)
    return bool(len(values)) and bool(values.min() < values.max())


def _part(dates: Array, part: str) -> Array:
    """[rows] float64, NaN where the date is missing."""
    import numpy as np

    days = dates.astype("datetime64[D]")
    seconds = (dates - days).astype(np.int64)
    values: dict[str, Callable[[], Array]] = {
        "year": lambda: dates.astype("datetime64[Y]").astype(np.int64) + 1970,
        "month": lambda: dates.astype("datetime64[M]").astype(np.int64) % 12 + 1,
        "day": lambda: (days - dates.astype("datetime64[M]")).astype(np.int64) + 1,
        "weekday": lambda: (days.astype(np.int64) + 3) % 7,
        "hour": lambda: seconds // 3600,
        "minute": lambda: seconds % 3600 // 60,
        "day_of_year": lambda: (days - dates.astype("datetime64[Y]")).astype(np.int64) + 1,
    }
    return np.where(np.isnat(dates), np.nan, values[part]().astype(np.float64))
