"""Rows that come after training, to predict or to evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ftune.data import SOURCES
from ftune.data.frame import Frame, as_text
from ftune.data.given_rows import ORIGIN, given_table
from ftune.data.pipeline import Pipeline
from ftune.data.sources.arrow import to_frame
from ftune.data.tables import TablePipeline
from ftune.data.target import Target
from ftune.data.unlisted import unseen_categories
from ftune.data.written import Columns, check_names, of_table, written
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.schema import Data


@dataclass(frozen=True)
class NewRows:
    """Rows to predict; kept: columns as they were given, to stand beside the predictions."""

    frame: Frame
    kept: Columns = field(default_factory=dict)


def new_rows(data: Data, rows: Any, pipeline: Pipeline, keep: Sequence[str] = ()) -> NewRows:
    """What a file, a list of mappings, a DataFrame or an Arrow table holds.

    Raises DataError for columns that training had and these rows lack, or `keep` that is not there.
    """
    if isinstance(rows, str | Path):
        reader = _reader(data.source, str(rows))
        frame = reader.read(str(rows), _types(pipeline))
        kept = written(reader, str(rows), frame, keep)
    else:
        table = given_table(rows, pipeline.columns).flatten()
        frame = to_frame(table, ORIGIN)
        check_names(frame, keep)
        kept = of_table(table, keep)
    pipeline.conform(frame)
    return NewRows(frame, kept)


def unseen(frame: Frame, pipeline: Pipeline) -> list[str]:
    """What the transforms of a table do not know in these rows: a sentence a column."""
    if not isinstance(pipeline, TablePipeline):
        return []
    return unseen_categories(pipeline.conform(frame), pipeline.steps)


def read_split(data: Data, path: str | Path | None, pipeline: Pipeline) -> Frame:
    """The rows to predict or evaluate: a file's, read by its extension, or the source's own.

    Without a path: the test file where one is declared, else all rows. The target may be absent.
    """
    if path is None:
        parts = data.source.load()
        frame: Frame = parts[next(part for part in ("test", "all", "train") if part in parts)]
        if data.classes is not None:
            frame = _kept(frame, pipeline.target)
    else:
        return new_rows(data, path, pipeline).frame
    pipeline.conform(frame)
    return frame


def _kept(frame: Frame, target: Target) -> Frame:
    """The rows of the known classes, as in training."""
    return frame.take(np.isin(as_text(frame[target.names[0]]).astype(str), target.classes))


def _types(pipeline: Pipeline) -> dict[str, str]:
    """What each column held in training, so that a short file is not read as something else."""
    types = {name: kind for name, kind in pipeline.columns.items() if kind == "text"}
    if pipeline.target.kind == "classes":
        types |= dict.fromkeys(pipeline.target.names, "text")
    return types


def source_for(path: str | Path) -> str | None:
    """The name of the source that reads files of this extension, or folders."""
    if Path(path).is_dir():
        return "images"
    suffix = Path(path).suffix.lower()
    return next((n for n in SOURCES if suffix in getattr(SOURCES[n], "suffixes", ())), None)


def _reader(source: Any, path: str) -> Any:
    """The declared source where it reads such files, else the one that does, with its defaults."""
    suffix = Path(path).suffix.lower()
    if suffix in source.suffixes and not Path(path).is_dir():
        return source
    name = source_for(path)
    if name:
        return SOURCES[name](path)
    known = ", ".join(s for kind in SOURCES.values() for s in getattr(kind, "suffixes", ()))
    raise DataError(f"{path}: no reader for `{suffix or 'no extension'}`; known: {known}")
