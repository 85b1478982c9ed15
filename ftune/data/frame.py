"""The table that sources give and transforms work on: named columns, and each row's origin."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ftune.config.spelling import nearest
from ftune.errors import DataError

Array = npt.NDArray[Any]
State = dict[str, dict[str, Any]]
Kind = Literal["number", "text", "date", "array", "flag", "code", "sequence", "image"]

_KINDS: dict[str, Kind] = {"O": "text", "M": "date", "b": "flag", "u": "flag", "i": "code"}


@dataclass(frozen=True, eq=False)
class Picture:
    """An image that a program gave, as uint8 [height, width] or [height, width, channels]."""

    pixels: Array
    row: int

    def __str__(self) -> str:
        return f"the image of row {self.row}"


_OBJECTS: dict[type, Kind] = {np.ndarray: "sequence", Picture: "image"}


@dataclass(frozen=True)
class Frame:
    """Columns of equal length.

    columns: by name, each [rows] or [rows, …]. The dtype says what a column is:
      float64 number (NaN: missing) · object text (str or None) · datetime64[s] date (NaT) ·
      float32 n-d array · uint8 flag (0 or 1, made by one_hot) · int64 code (made by ordinal) ·
      object sequence (float32 [steps, features] a row) · object image (Picture).
    origin: the file, for messages.
    rows: [rows] int64, the number of each row in that file, from 1, header not counted.
    notes: by column, what reading the file changed in it; parts of the rows do not repeat it.
    """

    columns: dict[str, Array]
    origin: str
    rows: npt.NDArray[np.int64]
    notes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert all(len(column) == len(self.rows) for column in self.columns.values())

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: Array) -> Frame:
        """The rows at `indices` (positions or a mask), in that order."""
        columns = {name: column[indices] for name, column in self.columns.items()}
        return Frame(columns, self.origin, self.rows[indices])

    def with_columns(self, columns: Mapping[str, Array]) -> Frame:
        """With `columns` added, or put in the place of those of the same name."""
        return replace(self, columns=self.columns | dict(columns))

    def without(self, names: Iterable[str]) -> Frame:
        gone = set(names)
        return replace(self, columns={n: c for n, c in self.columns.items() if n not in gone})

    def replaced(self, several: Mapping[str, Mapping[str, Array]]) -> Frame:
        """With the columns `several[name]` standing where the column `name` stood.

        All at once: a table of thousands of columns is gone through but one time.
        """
        result: dict[str, Array] = {}
        origins: dict[str, str] = {}
        for old, column in self.columns.items():
            new = several.get(old, {old: column})
            for name in new:
                if name in origins:
                    raise self._clash(old if old in several else origins[name], several)
                origins[name] = old
            result |= new
        return replace(self, columns=result)

    def _clash(self, old: str, several: Mapping[str, Mapping[str, Array]]) -> DataError:
        return DataError(
            f"{self.origin}: `{old}` would become {', '.join(several[old])}, and a column of that"
            " name exists already; rename or drop one of them"
        )

    def kind(self, name: str) -> Kind:
        column = self[name]
        if column.dtype.kind == "O":
            first = next((value for value in column if value is not None), None)
            return _OBJECTS.get(type(first), "text")
        return "array" if column.ndim > 1 else _KINDS.get(column.dtype.kind, "number")

    def named(self, *kinds: Kind) -> list[str]:
        """The names of the columns of these kinds, in order."""
        return [name for name in self.columns if self.kind(name) in kinds]

    def __getitem__(self, name: str) -> Array:
        """The column `name`. Raises DataError that lists what exists."""
        if name not in self.columns:
            raise DataError(f"{self.origin}: no column `{name}`; {exists(name, self.columns)}")
        return self.columns[name]

    def missing(self, name: str) -> npt.NDArray[np.bool_]:
        """[rows] whether the value is unknown."""
        column = self[name]
        if column.dtype.kind == "O":
            return np.array([value is None for value in column], dtype=bool)
        if column.dtype.kind == "M":
            return np.isnat(column)
        if column.dtype.kind == "f":
            bad: Array = np.isnan(column)
            return any_in_row(bad)
        return np.zeros(len(column), dtype=bool)

    def where(self, mask: npt.NDArray[np.bool_]) -> str:
        """The rows that `mask` marks, in words: `7 rows (3, 9, 12, 40, 41, …)`."""
        return spoken_rows(list(dict.fromkeys(self.rows[mask].tolist())))


def kinds_of(frame: Frame) -> dict[str, str]:
    """What each column holds that has a known value."""
    return {n: frame.kind(n) for n in frame.columns if not frame.missing(n).all()}


def any_in_row(mask: Array) -> npt.NDArray[np.bool_]:
    """[rows, …] -> [rows]: whether anything in the row is marked."""
    flat: npt.NDArray[np.bool_] = mask.reshape(len(mask), math.prod(mask.shape[1:])) != 0
    return np.asarray(flat.any(axis=1), dtype=np.bool_)


def exists(name: str, known: Iterable[str]) -> str:
    """What could have been meant by `name`: the nearest, and a list of what there is."""
    names = list(known)
    near, shown = nearest(name, names), first_of(names)
    return f"did you mean `{near}`? It has: {shown}" if near else f"it has: {shown}"


def first_of(names: Sequence[str], most: int = 20) -> str:
    """The first `most` names, and how many there are where that is not all of them."""
    return ", ".join(names[:most]) + (f" … ({len(names)} in all)" if len(names) > most else "")


def listed(names: Sequence[str], most: int = 20) -> str:
    """`first_of`, each name in backticks."""
    return first_of([f"`{name}`" for name in names], most)


def row_count(count: int) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{count:,} {'row' if count == 1 else 'rows'}"


def spoken_rows(rows: list[int]) -> str:
    """`row 3`, or the count with the first five."""
    return spoken_count(len(rows), rows[:5])


def spoken_count(count: int, first: list[int]) -> str:
    """`spoken_rows` of so many rows, of which only the first five are known."""
    if count == 1:
        return f"row {first[0]}"
    more = ", …" if count > 5 else ""
    return f"{count:,} rows ({', '.join(map(str, first))}{more})"


def no_column(origin: str, setting: str, name: str, known: Iterable[str]) -> str:
    """What is said where a setting such as `data.target` names a column that is not there."""
    return f"{origin}: {setting}: no column `{name}`; {exists(name, known)}"


def label_text(value: Any) -> str:
    """A class as text: `3.0` and `3` are both `3`."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value.item() if isinstance(value, np.generic) else value)


def as_text(column: Array) -> Array:
    """A column of numbers or texts as text, NaN as None: [rows] object."""
    if column.dtype.kind == "O":
        return column
    values, places = np.unique(column, return_inverse=True)
    texts = [None if value != value else label_text(value) for value in values]
    return np.array(texts, dtype=object)[places]
