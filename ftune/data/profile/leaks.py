"""Which column alone gives the target away: a small tree's score out of sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ftune.data.frame import Array, Frame, as_text

ROWS = 2_000
"""So many rows tell whether a score is above 0.98, give or take 0.01."""
LEAST = 50
PERFECT = 0.98
NEAR = 0.02
LEAVES = 64
TRIED = 8
"""At most so many columns get a tree: those that look most like the target by a cheaper look."""
FOLDS = 5


@dataclass(frozen=True)
class Leak:
    """A column that alone reaches `score` of a perfect one (balanced accuracy, or R² of ranks)."""

    column: str
    target: str
    score: float

    def __str__(self) -> str:
        return (
            f"`{self.column}` alone gives `{self.target}` ({self.score:.3f} of a perfect score on"
            f" rows not seen): if it is not known when a prediction is needed, add `drop:"
            f" [{self.column}]` to the transforms."
        )


def leaks(frame: Frame, inputs: list[str], target: str, classes: bool) -> list[Leak]:
    """The columns that give a target away; none where several are equally good at it.

    Copies of the target are named however many there are.
    """
    y, frame = _sampled(frame, target, classes)
    if len(y) < LEAST or len(np.unique(y)) < 2:
        return []
    looks = {name: _glance(_ordered(frame, name, y), y, classes) for name in inputs}
    order = sorted((name for name in looks if looks[name] >= 0.95), key=lambda n: -looks[n])
    scores = {name: _score(codes(frame, name), frame, name, y, classes) for name in order[:TRIED]}
    good = {name: score for name, score in scores.items() if score >= PERFECT}
    copies = [name for name in good if _copies(codes(frame, name), y, classes)]
    others = [name for name in scores if name not in copies]
    best = max(others, key=lambda name: scores[name], default="")
    if best in good and not any(scores[n] > good[best] - NEAR for n in others if n != best):
        copies.append(best)
    return [Leak(name, target, round(good[name], 4)) for name in copies]


def _sampled(frame: Frame, target: str, classes: bool) -> tuple[Array, Frame]:
    """What is known of the target in some rows: class numbers, or ranks from 0 to 1."""
    rows = np.flatnonzero(~frame.missing(target))
    rows = np.random.default_rng(0).permutation(rows)[:ROWS]  # also against the file's own order
    frame = frame.take(rows)
    column = as_text(frame[target]).astype(str) if classes else frame[target]
    _, y, counts = np.unique(column, return_inverse=True, return_counts=True)
    if not classes:
        above = np.cumsum(counts)
        return ((above - counts / 2) / max(len(y), 1))[y], frame
    often = counts[y] >= FOLDS
    return y[often], frame.take(often)


def codes(frame: Frame, name: str) -> Array:
    """[rows] float64: numbers and dates as they are (NaN: missing), texts by their order."""
    column = frame[name]
    if column.dtype.kind == "O":
        texts = np.array(["\0" if value is None else value for value in column], dtype=str)
        return np.unique(texts, return_inverse=True)[1].astype(np.float64)
    if column.dtype.kind == "M":
        return np.where(np.isnat(column), np.nan, column.astype(np.int64).astype(np.float64))
    return column.astype(np.float64)


def _ordered(frame: Frame, name: str, y: Array) -> Array:
    """As `codes`; texts by the mean target of each, so that neighbours are alike."""
    values = codes(frame, name)
    if frame.kind(name) != "text":
        return values
    places = values.astype(np.int64)
    means: Array = np.bincount(places, y) / np.bincount(places)
    return values * 0 if len(means) > len(y) / 2 else np.asarray(means[places] + 1e-9 * values)


def _glance(x: Array, y: Array, classes: bool) -> float:
    """About how good a tree on this column is, by how often the target turns along it."""
    if np.nanmin(x, initial=np.inf) >= np.nanmax(x, initial=-np.inf):
        return 0.0
    along = y[np.argsort(x, kind="stable")]
    if classes:
        turns = int(np.count_nonzero(along[1:] != along[:-1]))
        allowed: int = max(min(LEAVES, len(y) // 10), 2 * len(np.unique(y)))
        return 1 - max(0.0, turns - allowed) / (2 * len(y))
    return float(1 - np.mean(np.diff(along) ** 2) / (2 * np.var(y)))


def _score(x: Array, frame: Frame, name: str, y: Array, classes: bool) -> float:
    """Balanced accuracy or R² on rows that the tree has not seen."""
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score

    folds: Any = (StratifiedKFold if classes else KFold)(FOLDS, shuffle=True, random_state=0)
    scoring = "balanced_accuracy" if classes else "r2"
    model = _model(frame.kind(name) == "text", classes, len(np.unique(y)))
    return float(cross_val_score(model, x[:, None], y, scoring=scoring, cv=folds).mean())


def _model(text: bool, classes: bool, count: int) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    tree: Any = (
        DecisionTreeClassifier(max_leaf_nodes=max(LEAVES, 2 * count), random_state=0)
        if classes
        else DecisionTreeRegressor(max_leaf_nodes=LEAVES, min_samples_leaf=2, random_state=0)
    )
    flags = OneHotEncoder(handle_unknown="ignore", max_categories=4 * LEAVES)
    return make_pipeline(flags, tree) if text else tree


def _copies(x: Array, y: Array, classes: bool) -> bool:
    """Whether each value stands for one of the target and the reverse; or rises with it."""
    if not classes:
        steps = np.diff(y[np.argsort(x, kind="stable")])
        return bool((steps >= 0).all() or (steps <= 0).all())
    pairs = np.unique(np.stack([np.nan_to_num(x, nan=np.inf), y]), axis=1).shape[1]
    return bool(pairs == len(np.unique(x)) == len(np.unique(y)))


def each(frame: Frame, inputs: list[str], targets: tuple[str, ...], kind: str) -> Iterator[Leak]:
    """Those of every target; kind: what is predicted (Target.kind)."""
    plain = [name for name in inputs if frame.kind(name) in ("number", "text", "date")]
    for target in targets:
        if frame.kind(target) == "number" or kind != "numbers":
            yield from leaks(frame, plain, target, kind != "numbers")
