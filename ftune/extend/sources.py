"""Registered sources of rows, and what they say that their columns are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.config.fields import settings_of
from ftune.config.spelling import suggestion
from ftune.data.schema import Data
from ftune.data.sources.files import files_of
from ftune.data.sources.source import Source
from ftune.errors import DataError, RequestError
from ftune.extend.signature import Own, place, schema_of

if TYPE_CHECKING:
    from ftune.data.frame import Array, Frame

KINDS = ("sequence", "image")
_PARTS = {"train", "val", "test"}
_OURS = (
    "any_file", "declared_types", "default_target", "given", "image", "kind", "kinds", "load",
    "load_as", "made", "make", "ordered", "parameters", "part_files", "read", "suffixes",
    "swallowed", "typed", "written",
)  # fmt: skip
"""What a source has beside its settings."""


class OwnSource(Own, Source):
    """Rows that the user's function gives. kinds: of columns that are sequences or images."""

    kinds: ClassVar[Mapping[str, str]] = {}

    @property
    def part_files(self) -> dict[str, str]:
        path = vars(self).get("path")
        return files_of(path if isinstance(path, dict) else str(path)) if path else {}

    def load(self) -> dict[str, Frame]:
        columns, where = self.make(), place(self.made)
        if not isinstance(columns, Mapping) or not columns:
            raise DataError(
                f"{where}: gives a {type(columns).__name__}; it must give a mapping of columns, or "
                "{train: columns, val: …, test: …}"
            )
        if set(columns) <= _PARTS and all(isinstance(part, Mapping) for part in columns.values()):
            return {name: self._frame(part, f"{where} ({name})") for name, part in columns.items()}
        return {"all": self._frame(columns, where)}

    def read(self, path: str, types: Mapping[str, str] | None = None) -> Frame:  # noqa: ARG002
        """New rows: what the function gives for another `path`."""
        parts = replace(self, path=path).load()  # type: ignore[type-var]
        if len(parts) > 1:
            raise DataError(
                f"{place(self.made)}: gives {', '.join(parts)} for {path}; new rows are one mapping"
                " of columns"
            )
        return next(iter(parts.values()))

    def _frame(self, columns: Mapping[str, Any], where: str) -> Frame:
        import numpy as np

        from ftune.data.frame import Frame

        absent = [name for name in self.kinds if name not in columns]
        if absent:
            hint = suggestion(absent[0], map(str, columns))
            raise DataError(f"{where}: no column `{absent[0]}`, which `kinds` names; {hint}")
        arrays = {
            str(name): _column(values, f"{where}: `{name}`", str(name), self.kinds.get(name))
            for name, values in columns.items()
        }
        lengths = {name: len(array) for name, array in arrays.items()}
        if len(set(lengths.values())) != 1 or not all(lengths.values()):
            listed = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
            raise DataError(
                f"{where}: each column needs one entry a row, there are {listed or 'none'}"
            )
        return Frame(arrays, where, np.arange(1, next(iter(lengths.values())) + 1))


def _column(values: Any, where: str, name: str, kind: str | None) -> Array:
    """One column as every other source gives it: numbers, texts, dates or arrays."""
    import numpy as np
    import pyarrow as pa

    from ftune.data.sources.arrow import to_column

    if kind is not None:
        return _declared(values, where, kind)
    array = np.asarray(values) if hasattr(values, "__array__") else None
    if array is not None and array.ndim > 1 and array.dtype.kind in "fiub":
        return array.astype(np.float32)
    rows = list(values) if array is None else array
    _check_undeclared(rows, where, name)
    try:
        arrow = pa.array(rows)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"{where}: {str(error).splitlines()[0]}") from None
    return to_column(pa.chunked_array([arrow]), where)


def _declared(values: Any, where: str, kind: str) -> Array:
    from ftune.data.images.given import pictures
    from ftune.data.sequences import column_of

    rows = values.to_pylist() if hasattr(values, "to_pylist") else list(values)
    return column_of(rows, where) if kind == "sequence" else pictures(rows, where)


def _check_undeclared(rows: Any, where: str, name: str) -> None:
    """Lists of several lengths, or of lists, would become texts. Raises DataError."""
    import numpy as np

    lists = [row for row in rows if isinstance(row, list | tuple | np.ndarray)]
    deep = any(hasattr(row[0], "__len__") for row in lists if len(row))
    lengths = {len(row) for row in lists}
    numbers = not any(isinstance(row[0], str | Mapping) for row in lists if len(row))
    if lists and numbers and (deep or len(lengths) > 1):
        what = "arrays" if deep else f"lists of {min(lengths)} to {max(lengths)} numbers"
        raise DataError(
            f"{where}: holds {what}; say what they are:"
            f" @ftune.source(…, kinds={{'{name}': 'sequence'}}), or 'image'"
        )


def own_source(name: str, made: Callable[..., Any], kinds: Mapping[str, str]) -> type:
    """The schema of a function; `path` is a file, relative to the configuration."""
    wrong = [(c, k) for c, k in kinds.items() if k not in KINDS]
    if wrong:
        column, kind = wrong[0]
        raise RequestError(
            f"{place(made)}: kinds of `{name}`: `{column}` is a `{kind}`;"
            f" {suggestion(str(kind), KINDS)}"
        )
    images = [column for column, kind in kinds.items() if kind == "image"]
    if images and len(kinds) > 1:
        raise RequestError(
            f"{place(made)}: kinds of `{name}`: the image `{images[0]}` is the whole input; it"
            f" stands alone, not beside {', '.join(f'`{c}`' for c in kinds if c != images[0])}"
        )
    taken = ("data", *settings_of(Data), *_OURS)
    schema: Any = schema_of(OwnSource, made, (), taken, paths=("path",))
    schema.kinds = dict(kinds)
    schema.any_file = "path" in schema.parameters
    if images:
        schema.kind, schema.image = "images", images[0]
    result: type = schema
    return result
