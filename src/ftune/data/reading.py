"""The tables that a configuration names, with each column as it is meant."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ftune.data.frame import Frame
from ftune.data.sources.csv import Csv
from ftune.data.spellings import counted, merged, note, respelt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ftune.data.pipeline import Pipeline
    from ftune.data.schema import Data
    from ftune.data.target import TargetKind

TYPED = ("number", "text", "date")


def load(data: Data, kind: TargetKind, known: Pipeline | None = None) -> dict[str, Frame]:
    """Each file as its source gives it, and one spelling for what is one value.

    known: the pipeline that is used or built upon; what it knows of columns and classes holds.
    """
    if isinstance(data.source, Csv):
        parts = data.source.load(types_of(data, kind, known), _measured(data, kind))
    else:
        parts = data.source.load()
    return respelled(parts, data, kind, known)


def types_of(data: Data, kind: TargetKind, known: Pipeline | None) -> dict[str, str]:
    """What columns are known to be: classes are texts, others as in the model at hand."""
    columns = known.columns if known else {}
    types = {name: held for name, held in columns.items() if held in TYPED}
    return types | (dict.fromkeys(data.targets, "text") if kind == "classes" else {})


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
        said: dict[str, Any] = {name: _said(frame, name, note(name, own, counts[part]))}
        result[part] = replace(spelt, notes={**frame.notes, **said}) if own else frame
    return result


def _said(frame: Frame, name: str, sentence: str) -> str:
    """Behind what reading says of the column already."""
    before = frame.notes.get(name, "")
    return f"{before} {sentence}".strip()
