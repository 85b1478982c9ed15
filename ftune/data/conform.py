"""Columns of new rows as they were in training, or which rows are not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ftune.data.frame import Array, Frame, as_text
from ftune.errors import DataError

NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
EMPTY = {"number": np.float64(np.nan), "text": None, "date": np.datetime64("NaT", "s")}
DTYPES = {"number": "float64", "text": "object", "date": "datetime64[s]"}


def converted(frame: Frame, name: str, kind: str) -> Array:
    """A column as the kind it had in training, where that loses nothing. Raises DataError."""
    column, here = frame[name], frame.kind(name)
    if here == kind:
        return column
    if kind == "sequence":
        return sequences(frame, name)
    known = ~frame.missing(name)
    if here in EMPTY and kind in EMPTY and not known.any():
        return np.full(len(column), EMPTY[kind], dtype=DTYPES[kind])
    if (here, kind) == ("number", "text"):
        return as_text(column)
    if (here, kind) == ("text", "date") and _reads_as(column[known], kind).all():
        return _dates(column)
    raise DataError(_misfit(frame, name, kind, known))


def sequences(frame: Frame, name: str) -> Array:
    """Lists of numbers, which files and programs hold as arrays or as JSON."""
    from ftune.data.sequences import converted as of_lists

    return of_lists(frame[name], f"{frame.origin}: column `{name}`")


def _misfit(frame: Frame, name: str, kind: str, known: npt.NDArray[np.bool_]) -> str:
    """Which rows do not hold what training had: the odd ones among many, else the first."""
    column, here = frame[name], frame.kind(name)
    odd = known & ~_reads_as(column, kind) if here == "text" else known
    odd = odd if odd.any() else known
    places = np.flatnonzero(odd)
    example = f"row {frame.rows[places[0]]}: {str(column[places[0]])[:60]!r}"
    if odd.sum() == known.sum():
        what = f"holds {here}s, but {kind}s in training ({example})"
    else:
        more = [f"row {frame.rows[i]}: {str(column[i])[:60]!r}" for i in places[1:5]]
        shown = ", ".join([example, *more]) + (", …" if len(places) > 5 else "")
        are = "1 value is not" if len(places) == 1 else f"{len(places):,} values are not"
        what = f"held {kind}s in training, but {are} ({shown})"
    return f"{frame.origin}: column `{name}` {what}; correct it, or declare its type (csv: `types`)"


def _reads_as(texts: Array, kind: str) -> npt.NDArray[np.bool_]:
    """[rows] whether a text is what `kind` says, as the readers of files see it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pa.array(texts, pa.string())
    if kind == "number":
        matches = pc.fill_null(pc.match_substring_regex(values, NUMBER), False)
        return np.asarray(matches.to_numpy(zero_copy_only=False), dtype=bool)
    if kind == "date":
        whole = _is_date(values)  # as a rule all are, or none
        return np.array([whole or _is_date(value) for value in values], dtype=bool)
    return np.zeros(len(texts), dtype=bool)


def _dates(texts: Array) -> Array:
    """ISO dates that a file or a program gave as texts: [rows] datetime64[s]."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return np.asarray(pc.cast(pa.array(texts, pa.string()), pa.timestamp("s")).to_numpy())


def _is_date(value: object) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.cast(value, pa.timestamp("s"))
    except pa.ArrowInvalid:
        return False
    return True
