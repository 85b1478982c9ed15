"""Right and wrong decisions by class, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass
class Counts:
    """Per class, as float64 [classes]: how often it was right, predicted, and true."""

    right: Tensor
    predicted: Tensor
    true: Tensor

    @classmethod
    def zeros(cls, classes: int) -> Counts:
        return cls(*torch.zeros(3, classes, dtype=torch.float64))

    def add(self, right: Tensor, predicted: Tensor, true: Tensor) -> None:
        """Adds counts, each [classes], wherever they live."""
        self.right = self.right.to(right.device) + right
        self.predicted = self.predicted.to(right.device) + predicted
        self.true = self.true.to(right.device) + true

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.right + other.right, self.predicted + other.predicted, self.true + other.true
        )

    def observe(self, predicted: Tensor, true: Tensor) -> None:
        """Count decisions; predicted, true: class numbers, int64 [decisions]."""
        classes = len(self.right)
        of_class = [part.bincount(minlength=classes) for part in (predicted, true)]
        self.add(true[predicted == true].bincount(minlength=classes), *of_class)

    @property
    def precision(self) -> Tensor:
        """Right among predicted; 0 for a class never predicted."""
        return self.right / self.predicted.clamp(min=1)

    @property
    def recall(self) -> Tensor:
        """Right among true; 0 for a class that never occurs."""
        return self.right / self.true.clamp(min=1)

    @property
    def f1(self) -> Tensor:
        """Harmonic mean of both; 0 for a class that neither occurs nor is predicted."""
        return 2 * self.right / (self.predicted + self.true).clamp(min=1)

    @property
    def macro_f1(self) -> float:
        """Mean f1 of the classes that occur or are predicted; NaN where none is.

        With one class per row that is scikit-learn's default; with label columns it takes all.
        """
        return float(self.f1[self.predicted + self.true > 0].mean())

    def row(self, index: int) -> dict[str, float | int]:
        return {
            "precision": float(self.precision[index]),
            "recall": float(self.recall[index]),
            "f1": float(self.f1[index]),
            "support": int(self.true[index]),
        }

    def rows(self, kind: str, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return precision, recall, f1 and support by class; kind: what a class is called."""
        return [{kind: name, **self.row(index)} for index, name in enumerate(names)]


def ratio(part: Tensor | float, whole: Tensor | float) -> float:
    """part / whole; NaN where there is nothing to divide by."""
    return float(part) / float(whole) if float(whole) else float("nan")


def area_under_roc(scores: Tensor, positive: Tensor) -> float:
    """The chance that a positive row scores above a negative one, ties half (Mann and Whitney).

    scores: float [rows]; positive: bool [rows]. NaN where one side is empty or a score is NaN.
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives or bool(scores.isnan().any()):
        return float("nan")
    _, inverse, counts = scores.unique(return_inverse=True, return_counts=True)  # type: ignore[no-untyped-call]
    ranks = counts.cumsum(0) - (counts.double() - 1) / 2
    rank_sum = float(ranks[inverse][positive].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)
