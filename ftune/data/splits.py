"""Which rows train, choose and judge: a function of the seed and the data alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ftune.data.frame import Array, Frame, as_text
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.schema import Split

Rows = npt.NDArray[np.int64]
TEST, VAL, LIMIT, PER_CLASS = range(4)


def generator(seed: int, purpose: int) -> np.random.Generator:
    """A stream of its own for each purpose, so that one setting does not move another's choice."""
    return np.random.default_rng([seed % 2**64, purpose])


def split(
    frame: Frame,
    how: Split,
    seed: int,
    labels: Array | None,
    notes: list[str],
    with_test: bool = True,
    in_order: bool = False,
) -> dict[str, Frame]:
    """train, val and test (those that have rows). `labels` [rows]: the classes, if there are any.

    `in_order`: the last rows are test, those before them val, as of a running text.

    Raises DataError where no rows are left to train on, or the split cannot be made as asked.
    """
    total = len(frame)
    sizes = {"test": _count(how.test, total) if with_test else 0, "val": _count(how.val, total)}
    if sum(sizes.values()) >= total:
        raise DataError(
            f"{frame.origin}: {total:,} rows, of which the split takes {sizes['val']:,} for val and"
            f" {sizes['test']:,} for test: none are left to train on; lower data.split"
        )
    if how.stratify and labels is None:
        raise DataError("data.split.stratify: only classes can be stratified; set it to false")
    classes = None if how.stratify is False or how.group or how.time else labels
    in_order = in_order and not how.group
    classes = None if in_order else classes
    order = _ordered(frame, how.time) if how.time else np.arange(total) if in_order else None
    left, parts = np.arange(total), {}
    mix = _Mix(frame.origin, classes, bool(how.stratify))
    for purpose, part in ((TEST, "test"), (VAL, "val")):
        if not sizes[part]:
            continue
        if order is not None:
            order, chosen = order[: -sizes[part]], order[-sizes[part] :]
        elif how.group:
            chosen = _grouped(frame, how.group, left, sizes[part], generator(seed, purpose))
        else:
            rng = generator(seed, purpose)
            chosen = mix.drawn(part, left, sizes[part], rng)
        left = np.setdiff1d(left, chosen)
        parts[part] = np.sort(chosen)
    if not len(left):
        raise DataError(
            f"{frame.origin}: no rows are left to train on after the split; lower data.split"
        )
    notes += mix.notes
    return {part: frame.take(rows) for part, rows in {"train": left, **parts}.items()}


def _count(size: float, total: int) -> int:
    """A share or a count as a count; a share above 0 is at least one row."""
    return int(size) if size >= 1 or not size else max(1, round(size * total))


class _Mix:
    """Draws rows so that each class keeps its share, where that can be done; and says where not.

    labels: [rows] the classes, None where they do not matter. strict: rather refuses.
    """

    def __init__(self, origin: str, labels: Array | None, strict: bool) -> None:
        self.origin, self.labels, self.strict = origin, labels, strict
        self.mixed: list[str] = []
        self.plain: dict[str, str] = {}
        self.single: list[str] = []

    def drawn(self, part: str, left: Rows, count: int, rng: np.random.Generator) -> Rows:
        """`count` of the rows `left` at random. Raises DataError where that is refused."""
        if self.labels is None:
            return rng.permutation(left)[:count]
        several, self.single = _by_number(self.labels[left])
        if self.single and self.strict:
            raise DataError(unstratified(self.origin, single_rows(self.single)))
        candidates = left[several]
        why = _not_stratifiable(self.labels[candidates], count)
        if not why:
            from sklearn.model_selection import train_test_split

            self.mixed.append(part)
            labels, state = self.labels[candidates], int(rng.integers(2**31))
            _, chosen = train_test_split(
                candidates, test_size=count, stratify=labels, random_state=state
            )
            return np.asarray(chosen)
        if self.strict:
            raise DataError(unstratified(self.origin, why))
        self.plain[part] = why
        return rng.permutation(left)[:count]

    @property
    def notes(self) -> list[str]:
        """Each thing once, whatever parts it is true of."""
        parts, notes = list(self.plain), []
        if self.single and self.mixed:
            stay = "stay" if len(self.single) > 1 else "stays"
            notes.append(
                f"The split: {single_rows(self.single)}, which {stay} in training; the other"
                " classes are stratified."
            )
        if parts:
            are = "are" if len(parts) > 1 else "is"
            notes.append(f"{' and '.join(parts)} {are} not stratified: {self.plain[parts[0]]}.")
        return notes


def _by_number(labels: Array) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """[rows] whether a row's class has others, and the names, in backticks, of those without."""
    names, places, counts = np.unique(labels.astype(str), return_inverse=True, return_counts=True)
    return counts[places] > 1, [f"`{name}`" for name in names[counts == 1]]


def _not_stratifiable(labels: Array, count: int) -> str:
    """Why `count` rows cannot be taken with every class on both sides; empty if they can."""
    names = len(set(labels))
    if not names:
        return "no class has more than 1 row"
    if min(count, len(labels) - count) < names:
        return f"{count:,} of {len(labels):,} rows cannot hold all {names} classes on both sides"
    return ""


def single_rows(small: Sequence[str]) -> str:
    """What is said of classes, in backticks, that have one row."""
    shown = ", ".join(small[:5]) + (f" and {len(small) - 5} more" if len(small) > 5 else "")
    if len(small) == 1:
        return f"class {shown} has only 1 row left to divide"
    return f"classes {shown} have only 1 row each left to divide"


def unstratified(origin: str, why: str) -> str:
    return (
        f"{origin}: data.split.stratify: {why}; set `stratify: false`, keep fewer `classes`, or"
        " add rows"
    )


def group_names(frame: Frame, column: str) -> Array:
    """[rows] the group of each row, as text. Raises DataError where one is missing."""
    _refuse_missing(frame, column, "group")
    names = as_text(frame[column]) if frame.kind(column) != "date" else frame[column]
    return names.astype(str)


def _grouped(frame: Frame, column: str, left: Rows, count: int, rng: np.random.Generator) -> Rows:
    """Whole groups in random order until `count` rows are reached, always leaving one group."""
    groups, places = np.unique(group_names(frame, column)[left], return_inverse=True)
    if len(groups) < 2:
        raise DataError(
            f"{frame.origin}: data.split.group: the rows left to divide are all of one group of"
            f" `{column}`; name another column or lower the split"
        )
    order = rng.permutation(len(groups))
    before = np.cumsum(np.bincount(places)[order])
    taken = order[: min(int(np.searchsorted(before, count)) + 1, len(groups) - 1)]
    return left[np.isin(places, taken)]


def ordering(frame: Frame, column: str) -> Array:
    """[rows] what the rows are ordered by. Raises DataError: missing, neither dates nor numbers."""
    _refuse_missing(frame, column, "time")
    if frame.kind(column) not in ("date", "number"):
        raise DataError(
            f"{frame.origin}: data.split.time: column `{column}` holds {frame.kind(column)}s, not"
            f" dates or numbers; declare it (csv: `types: {{{column}: date}}`)"
        )
    return frame[column]


def _ordered(frame: Frame, column: str) -> Rows:
    """The rows from the earliest to the latest; equal times keep the order of the file."""
    times = ordering(frame, column)
    if times.min() == times.max():
        raise DataError(
            f"{frame.origin}: data.split.time: `{column}` is {times[0]} in every row, which"
            " gives no order"
        )
    return np.argsort(times, kind="stable")


def _refuse_missing(frame: Frame, column: str, setting: str) -> None:
    gaps = frame.missing(column)
    if gaps.any():
        raise DataError(missing_key(frame.origin, column, setting, frame.where(gaps)))


def missing_key(origin: str, column: str, setting: str, where: str) -> str:
    return (
        f"{origin}: data.split.{setting}: column `{column}` is missing in {where}; fill or delete"
        " these rows"
    )


def limited(frame: Frame, limit: int, seed: int) -> Frame:
    """At most `limit` rows at random, in the order of the file."""
    return frame.take(np.sort(generator(seed, LIMIT).permutation(len(frame))[:limit]))


def few_of_each(frame: Frame, labels: Array, count: int, seed: int, notes: list[str]) -> Frame:
    """At most `count` rows of each class; says which have fewer. Raises DataError if all have."""
    rng, kept = generator(seed, PER_CLASS), []
    names: list[Any] = sorted(set(labels))
    small = {name: int((labels == name).sum()) for name in names if (labels == name).sum() < count}
    if len(small) == len(names):
        most = max(small, key=lambda name: small[name])
        raise DataError(
            f"{frame.origin}: data.per_class {count} is more than any class has in the training"
            f" split (most: `{most}`, {small[most]:,} rows); choose a smaller one or leave it out"
        )
    for name in names:
        kept.append(rng.permutation(np.flatnonzero(labels == name))[:count])
    notes += [f"per_class: class `{name}` has only {rows:,} rows." for name, rows in small.items()]
    return frame.take(np.sort(np.concatenate(kept)))
