"""The whole way of the data: from its block in the configuration to tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ftune.data.apart import check_apart
from ftune.data.dataset import Dataset, Split
from ftune.data.fit_notes import fit_notes
from ftune.data.frame import Frame, as_text, no_column
from ftune.data.kind import TargetKind
from ftune.data.pipeline import Pipeline, fit
from ftune.data.profile.profile import profile
from ftune.data.reading import check_known, load
from ftune.data.sources.jsonl import Jsonl, one_object
from ftune.data.splits import few_of_each, limited, split
from ftune.data.target import (
    Target,
    chosen_classes,
    sorted_classes,
    sorted_tags,
    tags_of,
)
from ftune.data.transforms.columns import DropConstant, Rename
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
    notes += [*_about_base(prior, pipeline), *pipeline.notes]
    if fitted is None:
        notes += _about_reading(read, data, pipeline)
        notes += fit_notes(pipeline.steps, prior.steps if prior else ())
    notes += _absent_classes(train, pipeline.target)
    notes += _about_tags(train, pipeline.target)
    parts["train"] = train
    del train  # from here on a part of the table goes when its tensor is made
    made = {part: Split.of(pipeline, parts.pop(part), part == "train") for part in list(parts)}
    notes += [f"{part}: {note}" for part, split in made.items() for note in split.inputs.notes]
    seen = seen and seen.using(pipeline.columns)
    return Dataset(made["train"], made.get("val"), made.get("test"), pipeline, notes, seen)


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
        f"{origin}: lacks {_listed(lacks)} of {first}"
        + (f", and has {_listed(more)} instead" if more else "")
        + "; both files need the same columns"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{n}`" for n in names[:5]) + (
        f" … ({len(names)} in all)" if len(names) > 5 else ""
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
    kept = {
        part: f.take(np.isin(as_text(f[name]).astype(str), classes)) for part, f in parts.items()
    }
    for part, frame in kept.items():
        if not len(frame):
            raise DataError(f"{frame.origin}: data.classes leaves no rows in the {part} file")
    return kept, classes


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
    ordered = getattr(data.source, "ordered", False)
    made = split(whole, data.split, seed, labels, notes, single, ordered)
    return made if single else {**parts, **made}


def _fewer(train: Frame, data: Data, target: Target, seed: int, notes: list[str]) -> Frame:
    """The training rows that `per_class` and `limit` leave."""
    if data.per_class is not None:
        train = few_of_each(train, as_text(train[target.names[0]]), data.per_class, seed, notes)
    if data.limit is None:
        return train
    ordered = getattr(data.source, "ordered", False)
    return (
        train.take(np.arange(min(data.limit, len(train))))
        if ordered
        else limited(train, data.limit, seed)
    )


def _about_base(prior: Pipeline | None, pipeline: Pipeline) -> list[str]:
    if prior is None:
        return []
    before, now = _called(prior), _called(pipeline)
    gone = [raw for name, raw in before.items() if name not in now]
    new = [raw for name, raw in now.items() if name not in before]
    lines = {
        "columns of the base that this data lacks": gone,
        "columns that the base did not have": new,
    }
    notes = [f"{what}: {_listed(names)}." for what, names in lines.items() if names]
    cut = [p.tokenizer for p in (prior, pipeline) if p.tokenizer]
    if len(cut) == 2 and cut[0] != cut[1]:
        notes.append("another tokenizer than the base's, whose embeddings stand for other tokens.")
    return notes


def _called(pipeline: Pipeline) -> dict[str, str]:
    """The raw columns by the names that `rename` gives them."""
    names = {name: name for name in pipeline.columns}
    for step in pipeline.steps:
        if isinstance(step.transform, Rename):
            renames = {old: found["new"] for old, found in step.state.items()}
            names = {renames.get(name, name): raw for name, raw in names.items()}
    return names


def _about_reading(read: Sequence[Mapping[str, str]], data: Data, pipeline: Pipeline) -> list[str]:
    """What reading changed in the columns that are used, or left out for being constant."""
    states = [s.state for s in pipeline.steps if isinstance(s.transform, DropConstant)]
    used = {"", *pipeline.columns, *data.targets, data.split.group, data.split.time}
    used |= {name for state in states for name in state}
    notes = {note: None for said in read for name, note in said.items() if name in used}
    return list(notes)


def _absent_classes(train: Frame, target: Target) -> list[str]:
    if target.kind != "classes" and not target.separator:
        return []
    texts = as_text(train[target.names[0]])
    if target.separator:
        rows = tags_of(train, target.names[0], target.separator)
        texts = np.array([tag for row in rows for tag in row], dtype=object)
    there = set(texts)
    absent = [name for name in target.classes if name not in there]
    return [f"classes without a training row: {_listed(absent)}."] if absent else []


def _about_tags(train: Frame, target: Target) -> list[str]:
    """That no row has two tags, which another separator may be the reason of."""
    if not target.separator or max(map(len, tags_of(train, target.names[0], target.separator))) > 1:
        return []
    said = f"data.separator: no row of `{target.names[0]}` has two tags separated by"
    return [f'{said} "{target.separator}"; the labels are {_listed(target.classes)}.']
