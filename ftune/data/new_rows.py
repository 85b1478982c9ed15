"""Rows that come after training, to predict or to evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftune.data import SOURCES
from ftune.data.beside import Columns, as_given, check_names, plain_values, written
from ftune.data.frame import Frame
from ftune.data.given_rows import ORIGIN, given_table
from ftune.data.pipeline import Pipeline
from ftune.data.ranges import far_beyond
from ftune.data.reading import as_named, respelled, types_of, with_targets
from ftune.data.sequences import steps_of
from ftune.data.sources.arrow import to_frame
from ftune.data.sources.csv import Csv
from ftune.data.sources.csv_form import DELIMITERS, header_of, skipped_row
from ftune.data.sources.files import TableFile, suffix
from ftune.data.sources.source import Source
from ftune.data.spellings import plain
from ftune.data.tables import TablePipeline
from ftune.data.unlisted import unseen_categories
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.schema import Data


@dataclass(frozen=True)
class NewRows:
    """Rows to predict; kept: columns as they were given, to stand beside the predictions.

    notes: what is said of how they were read.
    """

    frame: Frame
    kept: Columns = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def new_rows(
    data: Data, rows: Any, pipeline: Pipeline, keep: Sequence[str] = (), judged: bool = False
) -> NewRows:
    """What a file, a list of mappings, a DataFrame or an Arrow table holds.

    judged: only rows whose targets are known, if `data` says so. Raises DataError for columns that
    training had and these rows lack, or `keep` that is not there.
    """
    kind, notes = pipeline.target.kind, list[str]()
    if isinstance(rows, str | Path):
        reader = _as_laid_out(_reader(data.source, str(rows)), str(rows), pipeline, notes)
        _check_skipped(reader, str(rows))
        data = replace(data, source=reader)  # who reads the file again reads it the same way
        frame = reader.read(str(rows), types_of(data, kind, pipeline))
        columns = written(reader, str(rows), frame, keep)
    else:
        table = given_table(rows, types_of(data, kind, pipeline)).flatten()
        frame = to_frame(table, ORIGIN)
        check_names(frame, keep)
        columns = as_given(rows, table, keep)
    frame = as_named(frame, data, pipeline)
    frame = respelled({"all": frame}, data, kind, pipeline)["all"]
    if judged:
        frame = with_targets(frame, data)
        notes += [frame.notes[""]] if "" in frame.notes else []
    pipeline.conform(frame)
    return NewRows(frame, columns | _truths(frame, pipeline, columns), notes)


def _truths(frame: Frame, pipeline: Pipeline, kept: Columns) -> Columns:
    """The targets among them as numbers where the predictions are: `1.234,5` is none elsewhere."""
    names = pipeline.target.names if pipeline.target.kind == "numbers" else ()
    read = set(frame.named("number"))
    return {name: plain_values(frame[name]) for name in names if name in kept and name in read}


def _as_laid_out(reader: Any, path: str, pipeline: Pipeline, notes: list[str]) -> Any:
    """A reader for this file's own delimiter and header, where the training file's does not fit.

    It fits where the header has all columns that the model needs.
    """
    if not isinstance(reader, Csv) or reader.header or not Path(path).is_file():
        return reader
    needed = {plain(name) for name in pipeline.columns}
    ways = [(skip, reader.separator(path)) for skip in dict.fromkeys((reader.skip, 0))]
    ways += [(skip, delimiter) for skip, _ in ways for delimiter in DELIMITERS]
    for skip, delimiter in ways:
        other = replace(reader, skip=skip, delimiter=delimiter)
        if needed <= {plain(name) for name in header_of(other.dialect(path))}:
            notes += _laid_out_otherwise(reader, other, path)
            return other
    return reader


def _laid_out_otherwise(reader: Csv, other: Csv, path: str) -> list[str]:
    notes = []
    if other.skip != reader.skip:
        notes.append(
            f"the first line of the new rows is the header: `skip: {reader.skip}` of the training"
            " file is not applied to them."
        )
    if other.separator(path) != reader.separator(path):
        own, new = (r.separator(path).replace("\t", "\\t") for r in (reader, other))
        notes.append(
            f'the new rows are separated by "{new}", those of the training file by "{own}": read'
            f' with "{new}".'
        )
    return notes


def _check_skipped(reader: Any, path: str) -> None:
    """Refuses a file of which `skip` would leave out rows: it has fewer lines above them."""
    row = (
        skipped_row(reader.dialect(path))
        if isinstance(reader, Csv) and Path(path).is_file()
        else []
    )
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
    beyond = far_beyond(rows, pipeline.ranges)
    return [*changed, *unseen_categories(rows, pipeline.steps), *beyond]


def source_for(path: str | Path) -> str | None:
    """The name of the source that reads files of this extension, or folders."""
    if Path(path).is_dir():
        return "images"
    ending = suffix(path)
    return next((name for name, source in _sources().items() if ending in source.suffixes), None)


def _sources() -> dict[str, type[Source]]:
    return {name: SOURCES[name] for name in SOURCES}


def _reader(source: Any, path: str) -> Any:
    """The declared source where it reads such files, else the one that does, with its defaults."""
    ending = suffix(path)
    if source.any_file:
        return source
    if ending in source.suffixes and not Path(path).is_dir():
        return source
    name = source_for(path)
    if name:
        return _as_written(SOURCES[name](path), source)
    known = ", ".join(s for kind in _sources().values() for s in kind.suffixes)
    raise DataError(f"{path}: no reader for `{ending or 'no extension'}`; known: {known}")


def _as_written(reader: Any, declared: Any) -> Any:
    """With the declared source's notation, where both have one: a person writes as before."""
    if not (isinstance(reader, TableFile) and isinstance(declared, TableFile)):
        return reader
    return replace(
        reader, types=declared.types, decimal=declared.decimal, thousands=declared.thousands
    )
