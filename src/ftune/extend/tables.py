"""Registered transforms of columns, and sources of rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.config.fields import setting
from ftune.errors import DataError
from ftune.extend.signature import Own, faults_of, place, schema_of, source_file

if TYPE_CHECKING:
    from ftune.data.frame import Array, Frame, State

_PARTS = {"train", "val", "test"}


@dataclass(frozen=True, kw_only=True)
class OwnTransform(Own):
    """A transform of the user's, column by column: a function, or an object with `apply`."""

    columns: list[str] | None = setting(None)
    """Which columns; null: all numbers and arrays."""

    def fit(self, frame: Frame, prior: State | None) -> State:
        from ftune.data.transforms.choose import chosen, fit_each, numbers

        names = chosen(frame, self.columns, "number", "array")
        return fit_each(names, prior, lambda name: self._learnt(numbers(frame, name)))

    def apply(self, frame: Frame, state: State) -> Frame:
        from ftune.data.transforms.choose import numbers

        columns = {name: self._used(numbers(frame, name), state[name], "apply") for name in state}
        return frame.with_columns(columns)

    def _learnt(self, values: Array) -> dict[str, Any]:
        """What `fit` of a class gives, checked to be JSON."""
        if not hasattr(self.made, "fit"):
            return {}
        with faults_of(source_file(self.made), place(self.made)):
            found = self.make().fit(values)
        try:
            plain = json.loads(json.dumps(found))
        except (TypeError, ValueError):
            plain = None
        if not isinstance(plain, dict):
            raise DataError(
                f"{place(self.made)}: `fit` gives a {type(found).__name__}; it must give a mapping "
                "of plain numbers, texts and lists (`float(values.mean())`)"
            )
        return plain

    def _used(self, values: Array, state: dict[str, Any], method: str) -> Array:
        import numpy as np

        with faults_of(source_file(self.made), place(self.made)):
            if isinstance(self.made, type):
                found = getattr(self.make(), method)(values, state)
            else:
                found = self.make(values=values)
        result: Array = np.asarray(found)
        if len(result.shape) == 0 or len(result) != len(values) or result.dtype.kind not in "fiub":
            raise DataError(
                f"{place(self.made)}: gives {result.dtype} {list(result.shape)} for numbers "
                f"{list(values.shape)}; it must give a number for each row"
            )
        return result.astype(values.dtype)


@dataclass(frozen=True, kw_only=True)
class OwnInvertible(OwnTransform):
    """One that can be undone, so that targets may use it."""

    def invert(self, values: Array, column: dict[str, Any]) -> Array:
        return self._used(values, column, "invert")


def own_transform(made: Callable[..., Any]) -> type:
    """The schema of a function of `values`, or of a class with `apply(values, state)`."""
    if isinstance(made, type):
        if not hasattr(made, "apply"):
            raise DataError(f"{place(made)}: a transform has a method apply(values, state)")
        return schema_of(OwnInvertible if hasattr(made, "invert") else OwnTransform, made, ())
    schema = schema_of(OwnTransform, made, ("values",), ("data.transforms", "columns"))
    if not schema.given:  # type: ignore[attr-defined]
        raise DataError(f"{place(made)}: a transform is a function of `values`, an array")
    return schema


class OwnSource(Own):
    """Rows that the user's function gives."""

    default_target: ClassVar[str | None] = None
    suffixes: ClassVar[tuple[str, ...]] = ()

    def load(self) -> dict[str, Frame]:
        found, where = self.make(), place(self.made)
        if not isinstance(found, Mapping) or not found:
            raise DataError(
                f"{where}: gives a {type(found).__name__}; it must give a mapping of columns, or "
                "{train: columns, val: …, test: …}"
            )
        if set(found) <= _PARTS and all(isinstance(part, Mapping) for part in found.values()):
            return {name: _frame(part, f"{where} ({name})") for name, part in found.items()}
        return {"all": _frame(found, where)}


def _frame(columns: Mapping[str, Any], where: str) -> Frame:
    import numpy as np

    from ftune.data.frame import Frame

    arrays = {str(name): _column(values, f"{where}: `{name}`") for name, values in columns.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1 or not all(lengths.values()):
        said = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise DataError(f"{where}: each column needs one entry a row, there are {said or 'none'}")
    return Frame(arrays, where, np.arange(1, next(iter(lengths.values())) + 1))


def _column(values: Any, where: str) -> Array:
    """One column as every other source gives it: numbers, texts, dates or arrays."""
    import numpy as np
    import pyarrow as pa

    from ftune.data.sources.arrow import to_column

    array = np.asarray(values) if hasattr(values, "__array__") else None
    if array is not None and array.ndim > 1 and array.dtype.kind in "fiub":
        return array.astype(np.float32)
    try:
        found = pa.array(list(values) if array is None else array)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"{where}: {str(error).splitlines()[0]}") from None
    return to_column(pa.chunked_array([found]), where)
