"""What is predicted: classes, numbers or labels, and the columns they are read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ftune.data import SOURCES
from ftune.data.frame import Array, Frame, as_text, label_text, listed
from ftune.data.spellings import places
from ftune.data.target_faults import (
    missing_target,
    no_label,
    no_tags,
    texts_for_numbers,
    unknown_classes,
    unknown_tags,
)
from ftune.data.transforms.choose import infinite_values
from ftune.errors import DataError

if TYPE_CHECKING:
    import torch

    from ftune.data.kind import TargetKind
    from ftune.data.schema import Data

LABELS = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0, "no": 0.0, "yes": 1.0}


@dataclass(frozen=True)
class Target:
    """The columns to predict.

    classes: one column, one class a row. numbers: one or more numbers. labels: one column a label,
    each 0 or 1 (also false / true, no / yes); with a `separator`, one column of tags. tokens: no
    column, the text itself is predicted. tags: one column of lists, a class for each word.
    `classes` are the names of classes or tags in the order of their numbers; empty for the others.
    numeric: the file has numbers as classes, and predictions are numbers again.
    """

    names: tuple[str, ...]
    kind: TargetKind
    classes: tuple[str, ...] = ()
    separator: str = ""
    numeric: bool = False

    def __post_init__(self) -> None:
        if self.kind == "classes" and len(self.names) > 1:
            raise DataError(
                f"target: {len(self.names)} columns ({', '.join(self.names)}), but a row has one"
                " class; name one column, or choose several labels (multi-label) or regression"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """What each 0 or 1 stands for: a column, or a tag."""
        return self.classes if self.separator else self.names

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        stored: dict[str, Any] = {
            "names": list(self.names),
            "kind": self.kind,
            "classes": list(self.classes),
        }
        stored |= {"numeric": True} if self.numeric else {}
        return stored | ({"separator": self.separator} if self.separator else {})

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Target:
        """The inverse of `to_json`; runs of 0.1 say nothing of numbers."""
        names, classes = tuple(stored["names"]), tuple(stored["classes"])
        assert names or stored["kind"] == "tokens"
        assert all(isinstance(name, str) for name in (*names, *classes))
        more = stored.get("separator", ""), stored.get("numeric", False)
        return cls(names, stored["kind"], classes, *more)

    def predicted(self, classes: Sequence[str]) -> list[str] | list[float]:
        """Class names as the file has them: as numbers where they are numbers there."""
        if not self.numeric:
            return list(classes)
        numbers = {name: as_number(name) for name in self.classes}
        return [numbers[name] for name in classes]

    def check(self, frame: Frame) -> None:
        """Refuses columns that are absent or unknown in some row. Raises DataError."""
        for name in self.names if self.kind != "tags" else ():
            if frame.kind(name) not in ("number", "text"):
                raise DataError(
                    f"{frame.origin}: the target `{name}` holds {frame.kind(name)}s;"
                    " expected numbers or texts"
                )
            if self.kind == "labels" and not self.separator:
                _check_labels(frame, name)
            gaps = frame.missing(name)
            if gaps.any() and not self.separator:
                raise DataError(missing_target(frame.origin, name, frame.where(gaps)))

    def class_numbers(self, frame: Frame) -> torch.Tensor:
        """[rows] int64."""
        import torch

        labels = as_text(frame[self.names[0]])
        numbers = places(labels, self.classes, numbers=True)
        if (numbers < 0).any():
            unknown = numbers < 0
            raise DataError(
                unknown_classes(
                    frame.origin, self.names[0], list(labels[unknown]), frame.where(unknown),
                    self.classes,
                )
            )  # fmt: skip
        return torch.from_numpy(numbers)

    def label_values(self, frame: Frame) -> torch.Tensor:
        """[rows, labels] float32 of 0 and 1."""
        import torch

        if self.separator:
            return torch.from_numpy(self._tagged(frame))
        return torch.from_numpy(np.stack([_label(frame, name) for name in self.names], axis=1))

    def _tagged(self, frame: Frame) -> Array:
        """[rows, labels] float32 of 0 and 1, of one column of tags."""
        rows = tags_of(frame, self.names[0], self.separator)
        index_of = {tag: i for i, tag in enumerate(self.classes)}
        unknown = np.array([any(tag not in index_of for tag in tags) for tags in rows], dtype=bool)
        if unknown.any():
            odd = [tag for tags in rows for tag in tags if tag not in index_of]
            where = frame.where(unknown)
            raise DataError(unknown_tags(frame.origin, self.names[0], odd, where, self.classes))
        values = np.zeros((len(rows), len(index_of)), dtype=np.float32)
        for row, tags in zip(values, rows, strict=True):
            row[[index_of[tag] for tag in tags]] = 1
        return values

    def numbers(self, frame: Frame) -> Frame:
        """The target columns alone, as finite numbers."""
        for name in self.names:
            if frame.kind(name) != "number":
                raise DataError(texts_for_numbers(frame.origin, name, list(frame[name])))
            if np.isinf(frame[name]).any():
                raise infinite_values(frame, name, np.isinf(frame[name]))
        return Frame({name: frame[name] for name in self.names}, frame.origin, frame.rows)


def as_number(text: str) -> int | float:
    """What a text says, whole where it says so."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def are_numbers(names: Sequence[str], kind: str, typed: bool) -> bool:
    """Whether a file holds these classes as numbers, in the one way in which numbers are written.

    kind: what its column holds. typed: the file tells apart `"1"` and 1.
    """
    if kind != "number" and typed:
        return False
    try:
        return bool(names) and all(str(as_number(name)) == name for name in names)
    except ValueError:
        return False


def target_of(
    data: Data, kind: TargetKind, train: Frame, classes: Sequence[str] | None = None
) -> Target:
    """What a configuration predicts; `classes` in order, by default those of `train`, sorted."""
    names, separator = data.targets, data.separator or ""
    if kind != "classes":
        return Target(names, kind, tuple(classes or ()), separator)
    chosen = tuple(sorted_classes(train[names[0]]) if classes is None else classes)
    csv: Any = SOURCES["csv"]
    typed = not isinstance(data.source, csv)
    numeric = are_numbers(chosen, train.kind(names[0]), typed)
    return Target(names, kind, chosen, separator, numeric)


def _label(frame: Frame, name: str) -> Array:
    _check_labels(frame, name)
    texts = as_text(frame[name])
    return np.array([LABELS.get(str(t).lower(), np.nan) for t in texts], dtype=np.float32)


def _check_labels(frame: Frame, name: str) -> None:
    """Refuses known values that are neither 0 nor 1."""
    texts = as_text(frame[name])
    bad = np.array([t is not None and str(t).lower() not in LABELS for t in texts], dtype=bool)
    if bad.any():
        raise DataError(no_label(frame.origin, name, list(texts[bad]), frame.where(bad)))


def tags_of(frame: Frame, name: str, separator: str) -> list[list[str]]:
    """The tags of each row; none where the column is empty."""
    texts = as_text(frame[name])
    parts = (() if text is None else str(text).split(separator) for text in texts)
    return [[tag for part in row if (tag := part.strip())] for row in parts]


def sorted_tags(frame: Frame, name: str, separator: str) -> tuple[str, ...]:
    """The tags there are, as `sorted_classes`. Raises DataError where no row has one."""
    tags = [tag for row in tags_of(frame, name, separator) for tag in row]
    if not tags:
        raise DataError(no_tags(frame.origin, name))
    return sorted_classes(np.array(tags, dtype=object))


def sorted_classes(labels: Array) -> tuple[str, ...]:
    """The classes there are: numerically if all are numbers, else in text order."""
    names = sorted({str(label) for label in as_text(labels) if label is not None})
    try:
        return tuple(sorted(names, key=float))
    except ValueError:
        return tuple(names)


def chosen_classes(frame: Frame, name: str, chosen: Sequence[Any]) -> tuple[str, ...]:
    """`data.classes` as class names. Raises DataError for one that no row has."""
    there = sorted_classes(frame[name])
    asked = np.array(list(dict.fromkeys(_as_written(c) for c in chosen)), dtype=object)
    indices = places(asked, there, numbers=True)
    absent = asked[indices < 0].tolist()
    if absent:
        raise DataError(
            f"{frame.origin}: `classes` names {listed(absent)}, which no row has;"
            f" `{name}` has: {listed(there)}"
        )
    return tuple(dict.fromkeys(there[i] for i in indices))


def _as_written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else label_text(value)
