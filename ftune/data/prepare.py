"""The whole way of the data: from its block in the configuration to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ftune.data.apart import check_apart
from ftune.data.dataset import Dataset, Split
from ftune.data.fit_notes import (
    absent_class_notes,
    base_notes,
    fit_notes,
    reading_notes,
    tag_notes,
)
from ftune.data.frame import Frame, as_text, listed, no_column
from ftune.data.kind import TargetKind
from ftune.data.pipeline import Pipeline, fit
from ftune.data.profile.profile import profile
from ftune.data.reading import check_known, load
from ftune.data.sources.json_faults import one_object
from ftune.data.sources.jsonl import Jsonl
from ftune.data.splits import few_of_each, limited, split
from ftune.data.target import (
    Target,
    chosen_classes,
    sorted_classes,
    sorted_tags,
)
from ftune.data.unlikely import unlikely
from ftune.data.unmeant import is_unmeant
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.schema import Data


def prepare(
    data: Data,
    kind: TargetKind,
    seed: int,
    prior: Pipeline | None = None,
    fitted: Pipeline | None = None,
    tokenizer: str | None = None,
) -> Dataset:
    """Reads, filters, splits, fits and transforms. Raises DataError for whatever is wrong.

    prior: the pipeline of a base; columns of the same name keep its statistics.
    fitted: use this pipeline as it is (resume, evaluate).
    tokenizer: the model whose tokenizer texts are cut by.
    """
    notes: list[str] = []
    target = fitted.target if fitted else Target(data.targets, kind, (), data.separator or "")
    parts = load(data, kind, fitted or (prior if data.statistics != "refit" else None))
    read = [frame.notes for frame in parts.values()]
    _check_rows(parts, data)
    _check_columns(parts, data, target)
    parts, classes = _of_classes(parts, data, target)
    _check_targets(parts, data, target, classes, fitted)
    if not fitted:
        check_apart(parts, data.split)
    first = parts.get("train", next(iter(parts.values())))
    seen = None if fitted else profile(first, data, kind)
    del first
    parts = _divided(parts, data, kind, seed, notes)
    train = _fewer(parts["train"], data, target, seed, notes)
    pipeline = (
        fitted.cached(data.cache) if fitted else fit(data, train, kind, prior, classes, tokenizer)
    )
    notes += [*base_notes(prior, pipeline), *pipeline.notes]
    if fitted is None:
        notes += reading_notes(read, data, pipeline)
        notes += fit_notes(pipeline.steps, prior.steps if prior else ())
    notes += absent_class_notes(train, pipeline.target)
    notes += tag_notes(train, pipeline.target)
    parts["train"] = train
    del train  # from here on a part of the table goes when its tensor is made
    splits = {part: Split.of(pipeline, parts.pop(part), part == "train") for part in list(parts)}
    notes += [f"{part}: {note}" for part, split in splits.items() for note in split.inputs.notes]
    seen = seen and seen.using(pipeline.columns)
    return Dataset(splits["train"], splits.get("val"), splits.get("test"), pipeline, notes, seen)


def _check_rows(parts: dict[str, Frame], data: Data) -> None:
    """Refuses the JSON of a whole table in one row."""
    for frame in parts.values() if isinstance(data.source, Jsonl) else ():
        if data.kind == "table" and len(frame) == 1 and (fault := one_object(frame.origin)):
            raise DataError(fault)


def _check_targets(
    parts: dict[str, Frame],
    data: Data,
    target: Target,
    classes: Sequence[str] | None,
    fitted: Pipeline | None,
) -> None:
    for frame in parts.values():
        check_known(frame, data, target)
        target.check(frame)
    first = next(iter(parts.values()))
    check_classes(first, target, classes, fitted)
    if not fitted and (fault := unlikely(first, data, target)):
        raise DataError(fault)


def _check_columns(parts: dict[str, Frame], data: Data, target: Target) -> None:
    """The columns that the block names, in every file; and the same columns in all files."""
    first = parts.get("train", next(iter(parts.values())))
    named = {
        "target": target.names,
        "split.group": (data.split.group,),
        "split.time": (data.split.time,),
    }
    for setting, names in named.items():
        for name in names:
            if name is not None and name not in first.columns:
                raise DataError(no_column(first.origin, f"data.{setting}", name, first.columns))
    for frame in parts.values():
        lacks = lacking(frame.origin, list(frame.columns), first.origin, list(first.columns))
        if lacks:
            raise DataError(lacks)


def lacking(origin: str, columns: Sequence[str], first: str, wanted: Sequence[str]) -> str:
    """What a file lacks of the columns of the first, in words; empty where it has them all."""
    there, asked = set(columns), set(wanted)
    lacks = [name for name in wanted if name not in there and not is_unmeant(name)]
    more = [name for name in columns if name not in asked and not is_unmeant(name)]
    if not lacks:
        return ""
    return (
        f"{origin}: lacks {listed(lacks, 5)} of {first}"
        + (f", and has {listed(more, 5)} instead" if more else "")
        + "; both files need the same columns"
    )


def _of_classes(
    parts: dict[str, Frame], data: Data, target: Target
) -> tuple[dict[str, Frame], tuple[str, ...] | None]:
    """Only rows of `data.classes`; and the classes in order (of one file all, else of train)."""
    if target.kind != "classes":
        if data.classes is not None or data.per_class is not None:
            setting = "classes" if data.classes is not None else "per_class"
            raise DataError(
                f"data.{setting}: this task predicts {target.kind}, not one class a row"
            )
        return parts, _tags(parts, target)
    name, first = target.names[0], next(iter(parts.values()))
    if data.classes is None:
        return parts, sorted_classes(first[name])
    classes = chosen_classes(first, name, data.classes)
    frames = {
        part: f.take(np.isin(as_text(f[name]).astype(str), classes)) for part, f in parts.items()
    }
    for part, frame in frames.items():
        if not len(frame):
            raise DataError(f"{frame.origin}: data.classes leaves no rows in the {part} file")
    return frames, classes


def _tags(parts: dict[str, Frame], target: Target) -> tuple[str, ...] | None:
    if not target.separator:
        return None
    return sorted_tags(next(iter(parts.values())), target.names[0], target.separator)


def check_classes(
    frame: Frame, target: Target, classes: Sequence[str] | None, fitted: Pipeline | None
) -> None:
    """Refuses a target of which there is only one class."""
    if classes is not None and len(classes) < 2 and not fitted and not target.separator:
        raise DataError(
            f"{frame.origin}: target `{target.names[0]}`: only one class, `{classes[0]}`; there is"
            " nothing to tell apart"
        )


def _divided(
    parts: dict[str, Frame], data: Data, kind: TargetKind, seed: int, notes: list[str]
) -> dict[str, Frame]:
    """One file is split; of several, a missing val is taken from the training file."""
    single = "all" in parts
    if not single and "val" in parts:
        return parts
    whole = parts["all" if single else "train"]
    labels = as_text(whole[data.targets[0]]) if kind == "classes" else None
    ordered = data.source.ordered
    divided = split(whole, data.split, seed, labels, notes, single, ordered)
    return divided if single else {**parts, **divided}


def _fewer(train: Frame, data: Data, target: Target, seed: int, notes: list[str]) -> Frame:
    """The training rows that `per_class` and `limit` leave."""
    if data.per_class is not None:
        train = few_of_each(train, as_text(train[target.names[0]]), data.per_class, seed, notes)
    if data.limit is None:
        return train
    ordered = data.source.ordered
    return (
        train.take(np.arange(min(data.limit, len(train))))
        if ordered
        else limited(train, data.limit, seed)
    )
