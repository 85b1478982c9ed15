"""Registered transforms of columns."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftune.config.fields import setting
from ftune.data.transforms.transform import Transform
from ftune.errors import DataError
from ftune.extend.signature import Own, faults_in, place, schema_of

if TYPE_CHECKING:
    from ftune.data.frame import Array, Frame, State


@dataclass(frozen=True, kw_only=True)
class OwnTransform(Own, Transform):
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
        with faults_in(self.made):
            state = self.make().fit(values)
        try:
            plain = json.loads(json.dumps(state))
        except (TypeError, ValueError):
            plain = None
        if not isinstance(plain, dict):
            raise DataError(
                f"{place(self.made)}: `fit` gives a {type(state).__name__}; it must give a mapping "
                "of plain numbers, texts and lists (`float(values.mean())`)"
            )
        return plain

    def _used(self, values: Array, state: dict[str, Any], method: str) -> Array:
        import numpy as np

        with faults_in(self.made):
            if isinstance(self.made, type):
                answer = getattr(self.make(), method)(values, state)
            else:
                answer = self.make(values=values)
        result: Array = np.asarray(answer)
        if len(result.shape) == 0 or len(result) != len(values) or result.dtype.kind not in "fiub":
            raise DataError(
                f"{place(self.made)}: gives {result.dtype} {list(result.shape)} for numbers "
                f"{list(values.shape)}; it must give a number for each row"
            )
        return result.astype(values.dtype)


@dataclass(frozen=True, kw_only=True)
class OwnInvertible(OwnTransform):
    """One that can be undone, so that targets may use it."""

    invertible = True

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
