"""The tables that a configuration names, with each column as it is meant."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ftune.data.frame import Frame, row_count
from ftune.data.once import answered
from ftune.data.referenced_columns import referenced_columns
from ftune.data.spellings import counted, merged, note, plain, respelt
from ftune.data.target_faults import missing_target
from ftune.data.unmeant import without_unmeant
from ftune.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ftune.data.kind import TargetKind
    from ftune.data.pipeline import Pipeline
    from ftune.data.schema import Data
    from ftune.data.target import Target

TYPED = ("number", "text", "date")


def load(data: Data, kind: TargetKind, known: Pipeline | None = None) -> dict[str, Frame]:
    """Each file as its source gives it, and one spelling for what is one value.

    known: the pipeline that is used or built upon; what it knows of columns and classes holds.
    """
    key = (data, kind, None if known is None else id(known))
    return dict(answered("load", key, lambda: _loaded(data, kind, known)))


def _loaded(data: Data, kind: TargetKind, known: Pipeline | None) -> dict[str, Frame]:
    if data.kind == "table" or not data.source.typed:
        parts = data.source.load_as(types_of(data, kind, known), _measured(data, kind))
    else:
        parts = data.source.load()
    parts = {part: as_named(frame, data, known) for part, frame in parts.items()}
    if data.kind == "table":
        parts = without_unmeant(parts, data, known.columns if known else ())
    parts = respelled(parts, data, kind, known)
    return {part: with_targets(frame, data) for part, frame in parts.items()}


def as_named(frame: Frame, data: Data, known: Pipeline | None) -> Frame:
    """With columns under the names by which `data` and a model at hand know them, however spelt."""
    wanted = [name for names in referenced_columns(data).values() for name in names]
    wanted += [*known.columns, *known.target.names] if known else []
    absent = {plain(name): name for name in wanted if name not in frame.columns}
    if not absent:
        return frame
    names = {name: absent.get(plain(name), name) for name in frame.columns if name not in wanted}
    columns = {names.get(name, name): column for name, column in frame.columns.items()}
    return replace(frame, columns=columns) if len(columns) == len(frame.columns) else frame


def with_targets(frame: Frame, data: Data) -> Frame:
    """The rows whose targets are known, if the others are to be left out; said."""
    gaps = [frame.missing(name) for name in data.targets if name in frame.columns]
    if not data.drop_missing_target or not gaps or not (missing := np.any(gaps, axis=0)).any():
        return frame
    if missing.all():
        raise DataError(no_targets(frame.origin))
    words = _swallowed(frame.origin, data)
    taken = f" (among them {_spoken(words)})" if words else ""
    message = f"drop_missing_target: {frame.where(missing)} of {frame.origin} left out{taken}."
    before = frame.notes.get("", "")
    return replace(frame.take(~missing), notes={**frame.notes, "": f"{before} {message}".strip()})


def no_targets(origin: str) -> str:
    return f"{origin}: data.drop_missing_target leaves no rows; name another `target`"


def check_known(frame: Frame, data: Data, target: Target) -> None:
    """Refuses a class column of which `missing` takes names for gaps. Raises DataError."""
    name = target.names[0] if target.kind == "classes" else ""
    if name in frame.columns and frame.missing(name).any():
        message = missing_target(frame.origin, name, frame.where(frame.missing(name)))
        raise DataError(message + swallowed_classes(frame.origin, data))


def swallowed_classes(path: str, data: Data) -> str:
    """What is said of texts in a class column that `missing` lists; empty where there are none."""
    words = _swallowed(path, data)
    if not words:
        return ""
    return (
        f". `missing` lists {_spoken(words)}: if that is a class, write `missing` without it, as"
        ' `missing: [""]`'
    )


def _spoken(words: Mapping[str, int]) -> str:
    return ", ".join(f"`{text}` ({row_count(n)})" for text, n in words.items())


def _swallowed(path: str, data: Data) -> dict[str, int]:
    return data.source.swallowed(path, data.targets[0]) if len(data.targets) == 1 else {}


def types_of(data: Data, kind: TargetKind, known: Pipeline | None) -> dict[str, str]:
    """What columns are known to be: classes and tags are texts, others as in the model at hand."""
    columns = known.columns if known else {}
    types = {name: held for name, held in columns.items() if held in TYPED}
    return types | (
        dict.fromkeys(data.targets, "text") if kind == "classes" or data.separator else {}
    )


def _measured(data: Data, kind: TargetKind) -> list[str]:
    """Columns of which the digits are numbers, however long."""
    targets = data.targets if kind == "numbers" else ()
    return [*targets, *([data.split.time] if data.split.time else [])]


def respelled(
    parts: dict[str, Frame], data: Data, kind: TargetKind, known: Pipeline | None = None
) -> dict[str, Frame]:
    """One spelling in all parts for values that differ in nothing else: classes and categories."""
    first = next(iter(parts.values()))
    classes = data.targets[0] if kind == "classes" and data.targets else None
    names = first.named("text") if data.kind == "table" else []
    names += [classes] if classes in first.columns and classes not in names else []
    names = [n for n in names if not (data.separator and n in data.targets)]  # several values each
    for name in names:
        if any(name not in f.columns or f.kind(name) != "text" for f in parts.values()):
            continue
        own = known.target.classes if known and name == classes else ()
        parts = _one_spelling(parts, name, own, name == classes)
    return parts


def _one_spelling(
    parts: Mapping[str, Frame], name: str, known: Sequence[str], numbers: bool
) -> dict[str, Frame]:
    counts = {part: counted(frame[name]) for part, frame in parts.items()}
    first, *others = counts.values()
    changes = merged(first, [text for some in others for text in some], known, numbers)
    if not changes:
        return dict(parts)
    result: dict[str, Frame] = {}
    for part, frame in parts.items():
        own = {text: new for text, new in changes.items() if text in counts[part]}
        spelt = frame.with_columns({name: respelt(frame[name], own)})
        column_notes: dict[str, Any] = {name: _said(frame, name, note(name, own, counts[part]))}
        result[part] = replace(spelt, notes={**frame.notes, **column_notes}) if own else frame
    return result


def _said(frame: Frame, name: str, sentence: str) -> str:
    """Behind what reading says of the column already."""
    before = frame.notes.get(name, "")
    return f"{before} {sentence}".strip()
