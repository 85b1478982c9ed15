"""What is predicted: classes, numbers or labels, and the columns they are read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ftune.data import SOURCES
from ftune.data.frame import Array, Frame, as_text, label_text
from ftune.data.transforms.choose import infinite_values
from ftune.errors import DataError

if TYPE_CHECKING:
    import torch

    from ftune.data.schema import Data

TargetKind = Literal["classes", "numbers", "labels", "tokens", "tags"]
LABELS = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0, "no": 0.0, "yes": 1.0}


@dataclass(frozen=True)
class Target:
    """The columns to predict.

    classes: one column, one class a row. numbers: one or more numbers. labels: one column a label,
    each 0 or 1 (also false / true, no / yes). tokens: no column, the text itself is predicted.
    tags: one column of lists, a class for each word. `classes` are the names of classes or tags in
    the order of their numbers; empty for the others. numeric: the file has numbers as classes, and
    predictions are numbers again.
    """

    names: tuple[str, ...]
    kind: TargetKind
    classes: tuple[str, ...] = ()
    numeric: bool = False

    def __post_init__(self) -> None:
        if self.kind == "classes" and len(self.names) > 1:
            raise DataError(
                f"target: {len(self.names)} columns ({', '.join(self.names)}), but a row has one"
                " class; name one column, or choose several labels (multi-label) or regression"
            )

    def to_json(self) -> dict[str, Any]:
        """As a pipeline stores it."""
        named = {"names": list(self.names), "kind": self.kind, "classes": list(self.classes)}
        return named | ({"numeric": True} if self.numeric else {})

    @classmethod
    def restore(cls, stored: Mapping[str, Any]) -> Target:
        """The inverse of `to_json`; runs of 0.1 say nothing of numbers."""
        names, classes = tuple(stored["names"]), tuple(stored["classes"])
        return cls(names, stored["kind"], classes, stored.get("numeric", False))

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
            gaps = frame.missing(name)
            if gaps.any():
                raise DataError(missing_target(frame.origin, name, frame.where(gaps)))

    def class_numbers(self, frame: Frame) -> torch.Tensor:
        """[rows] int64."""
        import torch

        labels = as_text(frame[self.names[0]])
        place = {name: i for i, name in enumerate(self.classes)}
        numbers = np.fromiter((place.get(label, -1) for label in labels), np.int64, len(labels))
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

        return torch.from_numpy(np.stack([_label(frame, name) for name in self.names], axis=1))

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
    names = data.targets
    if kind != "classes":
        return Target(names, kind, tuple(classes or ()) if kind == "tags" else ())
    chosen = tuple(sorted_classes(train[names[0]]) if classes is None else classes)
    csv: Any = SOURCES["csv"]
    typed = not isinstance(data.source, csv)
    return Target(names, kind, chosen, are_numbers(chosen, train.kind(names[0]), typed))


def unknown_classes(
    origin: str, name: str, labels: Sequence[str], where: str, known: Sequence[str]
) -> str:
    """What is said of classes that the training rows do not tell."""
    found = ", ".join(f"`{label}`" for label in list(dict.fromkeys(labels))[:5])
    return (
        f"{origin}: target `{name}`: unknown class {found} in {where}; known: {_shown(known)}. Keep"
        " only known ones with `classes`, or train on rows that have it"
    )


def missing_target(origin: str, name: str, where: str) -> str:
    return f"{origin}: the target `{name}` is missing in {where}; fill or delete these rows"


def texts_for_numbers(origin: str, name: str, texts: Sequence[Any]) -> str:
    odd = ", ".join(f"{v!r}" for v in list(dict.fromkeys(texts))[:5])
    return (
        f"{origin}: the target `{name}` holds texts ({odd}), not numbers; for classes use"
        " `task: classification`"
    )


def _label(frame: Frame, name: str) -> Array:
    texts = as_text(frame[name])
    values = np.array([LABELS.get(str(t).lower(), np.nan) for t in texts], dtype=np.float32)
    bad = np.isnan(values)
    if bad.any():
        found = ", ".join(f"`{v}`" for v in list(dict.fromkeys(texts[bad]))[:5])
        raise DataError(
            f"{frame.origin}: the label `{name}` is {found} in {frame.where(bad)}; expected 0 or 1"
        )
    return values


def sorted_classes(labels: Array) -> tuple[str, ...]:
    """The classes there are: numerically if all are numbers, else in text order."""
    names = sorted({str(label) for label in as_text(labels) if label is not None})
    try:
        return tuple(sorted(names, key=float))
    except ValueError:
        return tuple(names)


def chosen_classes(frame: Frame, name: str, chosen: Sequence[Any]) -> tuple[str, ...]:
    """`data.classes` as class names. Raises DataError for one that no row has."""
    names = tuple(dict.fromkeys(_as_written(c) for c in chosen))
    there = sorted_classes(frame[name])
    absent = [c for c in names if c not in there]
    if absent:
        raise DataError(
            f"{frame.origin}: `classes` names {_shown(absent)}, which no row has;"
            f" `{name}` has: {_shown(there)}"
        )
    return names


def _as_written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else label_text(value)


def _shown(names: Sequence[str]) -> str:
    more = f" … ({len(names)} in all)" if len(names) > 20 else ""
    return ", ".join(f"`{n}`" for n in names[:20]) + more
