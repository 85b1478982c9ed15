"""What fitted transforms have to say: columns and categories that they left out or changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ftune.data.frame import Frame, as_text, listed
from ftune.data.lineage import Step
from ftune.data.pipeline import Pipeline
from ftune.data.target import Target, tags_of
from ftune.data.transforms.columns import DropConstant, Rename

if TYPE_CHECKING:
    from ftune.data.schema import Data

SHOWN = 5
"""Names in one sentence."""


def fit_notes(steps: Sequence[Step], prior: Sequence[Step] = ()) -> list[str]:
    """One sentence for each kind of change, about the columns whose statistics are not `prior`'s.

    A transform tells of its state by `notes(state) -> list[str]`; statistics that are taken over
    were told of when the base was trained.
    """
    known = {id(column) for step in prior for column in step.state.values()}
    notes: list[str] = []
    for step in steps:
        own = {name: column for name, column in step.state.items() if id(column) not in known}
        notes += step.transform.notes(own)
    return notes


def base_notes(prior: Pipeline | None, pipeline: Pipeline) -> list[str]:
    if prior is None:
        return []
    before, now = _called(prior), _called(pipeline)
    gone = [raw for name, raw in before.items() if name not in now]
    new = [raw for name, raw in now.items() if name not in before]
    lines = {
        "columns of the base that this data lacks": gone,
        "columns that the base did not have": new,
    }
    notes = [f"{what}: {listed(names, SHOWN)}." for what, names in lines.items() if names]
    cut = [p.tokenizer for p in (prior, pipeline) if p.tokenizer]
    if len(cut) == 2 and cut[0] != cut[1]:
        notes.append("another tokenizer than the base's, whose embeddings stand for other tokens.")
    return notes


def _called(pipeline: Pipeline) -> dict[str, str]:
    """The raw columns by the names that `rename` gives them."""
    names = {name: name for name in pipeline.columns}
    for step in pipeline.steps:
        if isinstance(step.transform, Rename):
            renames = {old: pairing["new"] for old, pairing in step.state.items()}
            names = {renames.get(name, name): raw for name, raw in names.items()}
    return names


def reading_notes(read: Sequence[Mapping[str, str]], data: Data, pipeline: Pipeline) -> list[str]:
    """What reading changed in the columns that are used, or left out for being constant."""
    states = [s.state for s in pipeline.steps if isinstance(s.transform, DropConstant)]
    used = {"", *pipeline.columns, *data.targets, data.split.group, data.split.time}
    used |= {name for state in states for name in state}
    notes = {note: None for by_column in read for name, note in by_column.items() if name in used}
    return list(notes)


def absent_class_notes(train: Frame, target: Target) -> list[str]:
    if target.kind != "classes" and not target.separator:
        return []
    texts = as_text(train[target.names[0]])
    if target.separator:
        rows = tags_of(train, target.names[0], target.separator)
        texts = np.array([tag for row in rows for tag in row], dtype=object)
    there = set(texts)
    absent = [name for name in target.classes if name not in there]
    return [f"classes without a training row: {listed(absent, SHOWN)}."] if absent else []


def tag_notes(train: Frame, target: Target) -> list[str]:
    """That no row has two tags, which another separator may be the reason of."""
    if not target.separator or max(map(len, tags_of(train, target.names[0], target.separator))) > 1:
        return []
    message = f"data.separator: no row of `{target.names[0]}` has two tags separated by"
    return [f'{message} "{target.separator}"; the labels are {listed(target.classes, SHOWN)}.']
