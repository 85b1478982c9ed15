"""Rows that come after training, to predict or to evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftune.data import SOURCES
from ftune.data.beside import Columns, as_given, check_names, written
from ftune.data.frame import Frame
from ftune.data.given_rows import ORIGIN, given_table
from ftune.data.pipeline import Pipeline
from ftune.data.reading import as_named, respelled, types_of, with_targets
from ftune.data.sequences import steps_of
from ftune.data.sources.arrow import to_frame
from ftune.data.sources.csv import Csv
from ftune.data.sources.csv_form import skipped_row
from ftune.data.sources.files import TableFile, suffix
from ftune.data.tables import TablePipeline
from ftune.data.unlisted import unseen_categories
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.schema import Data


@dataclass(frozen=True)
class NewRows:
    """Rows to predict; kept: columns as they were given, to stand beside the predictions."""

    frame: Frame
    kept: Columns = field(default_factory=dict)


def new_rows(
    data: Data, rows: Any, pipeline: Pipeline, keep: Sequence[str] = (), judged: bool = False
) -> NewRows:
    """What a file, a list of mappings, a DataFrame or an Arrow table holds.

    judged: only rows whose targets are known, if `data` says so. Raises DataError for columns that
    training had and these rows lack, or `keep` that is not there.
    """
    kind = pipeline.target.kind
    if isinstance(rows, str | Path):
        reader = _reader(data.source, str(rows))
        _check_skipped(reader, str(rows))
        frame = reader.read(str(rows), types_of(data, kind, pipeline))
        kept = written(reader, str(rows), frame, keep)
    else:
        table = given_table(rows, types_of(data, kind, pipeline)).flatten()
        frame = to_frame(table, ORIGIN)
        check_names(frame, keep)
        kept = as_given(rows, table, keep)
    frame = as_named(frame, data, pipeline)
    frame = respelled({"all": frame}, data, kind, pipeline)["all"]
    frame = with_targets(frame, data) if judged else frame
    pipeline.conform(frame)
    return NewRows(frame, kept)


def _check_skipped(reader: Any, path: str) -> None:
    """Refuses a file of which `skip` would leave out rows: it has fewer lines above them."""
    row = skipped_row(path, reader) if isinstance(reader, Csv) and Path(path).is_file() else []
    if row:
        raise DataError(
            f"{path}: `skip: {reader.skip}` leaves out as many lines above the rows, but one of"
            f" them is a row ({', '.join(row)[:60]}); begin the file as the training file began"
        )


def unseen(frame: Frame, pipeline: Pipeline) -> list[str]:
    """What reading changed in the inputs, and what the transforms of a table do not know."""
    changed = [note for name, note in frame.notes.items() if name in pipeline.columns]
    if not isinstance(pipeline, TablePipeline):
        return changed
    rows = pipeline.conform(frame)
    rows = steps_of(rows).frame if pipeline.features.time else rows
    return [*changed, *unseen_categories(rows, pipeline.steps)]


def source_for(path: str | Path) -> str | None:
    """The name of the source that reads files of this extension, or folders."""
    if Path(path).is_dir():
        return "images"
    ending = suffix(path)
    return next((n for n in SOURCES if ending in getattr(SOURCES[n], "suffixes", ())), None)


def _reader(source: Any, path: str) -> Any:
    """The declared source where it reads such files, else the one that does, with its defaults."""
    ending = suffix(path)
    if not source.suffixes and hasattr(source, "path"):  # of --code: any file that it can read
        return source
    if ending in source.suffixes and not Path(path).is_dir():
        return source
    name = source_for(path)
    if name:
        return _as_written(SOURCES[name](path), source)
    known = ", ".join(s for kind in SOURCES.values() for s in getattr(kind, "suffixes", ()))
    raise DataError(f"{path}: no reader for `{ending or 'no extension'}`; known: {known}")


def _as_written(reader: Any, declared: Any) -> Any:
    """With the declared source's notation, where both have one: a person writes as before."""
    if not (isinstance(reader, TableFile) and isinstance(declared, TableFile)):
        return reader
    return replace(
        reader, types=declared.types, decimal=declared.decimal, thousands=declared.thousands
    )
