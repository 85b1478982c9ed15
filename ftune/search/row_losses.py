"""The loss of each validation row, from which follows what a difference of two losses is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ftune.assembly.job import score
from ftune.assembly.parts import Parts
from ftune.tasks.protocol import Task

MOST_UNITS = 1000


@dataclass(frozen=True)
class RowLosses:
    """summed, weight: float64 [units], of each row, or of a few rows where they are thousands.

    floor: a mean loss below it says no more than "every row is right"; 0 where there is no such.
    count: rows, of which a unit may be several.
    """

    summed: Tensor
    weight: Tensor
    floor: float
    count: int

    def above(self, other: RowLosses) -> tuple[float, float]:
        """By how much the mean loss is larger than another's on the same rows, and its error.

        The error is the standard error of the paired difference, of a ratio where rows have
        weights (Cochran 1977, 2.11); infinite for a single row, which has no spread.
        """
        units, total = len(self.weight), float(self.weight.sum())
        difference = self.summed - other.summed
        mean = float(difference.sum()) / total
        if units < 2:
            return mean, math.inf
        residual = difference - mean * self.weight
        squares = float(residual.square().sum())
        return mean, math.sqrt(squares * units / (units - 1)) / total


def row_losses(parts: Parts) -> RowLosses:
    """Of the model as it stands, on the validation split."""
    assert parts.dataset.val is not None
    passes: list[_RowLosses] = []
    size = math.ceil(len(parts.dataset.val) / MOST_UNITS)

    def fresh() -> _RowLosses:
        passes.append(_RowLosses(parts.task, size))
        return passes[-1]

    score(parts, parts.dataset.val, make=fresh)
    summed = torch.stack(passes[-1].summed).double().cpu()
    weight = torch.tensor(passes[-1].weight, dtype=torch.float64)
    judged = float(weight.sum()) if parts.task.positions else len(parts.dataset.val)
    return RowLosses(summed, weight, _floor(parts, judged), len(parts.dataset.val))


def _floor(parts: Parts, judged: float) -> float:
    """The loss at the probability that n right answers out of n stand for, 1 - 1 / (n + 2).

    That is Laplace's rule of succession. It holds for losses that are minus the logarithm of a
    probability; errors of numbers and losses of the user's own have no such floor.
    """
    own = getattr(parts.task, "own", None) is not None
    if own or parts.target_kind == "numbers":
        return 0.0
    return math.log((judged + 2) / (judged + 1))


class _RowLosses:
    """Takes the loss of each row, or of `size` rows together."""

    def __init__(self, task: Task, size: int) -> None:
        self.task, self.size = task, size
        self.summed: list[Tensor] = []
        self.weight: list[float] = []

    def update(self, outputs: Tensor, batch: Mapping[str, Tensor]) -> None:
        y, outputs = batch["y"], outputs.detach()
        if self.task.positions:  # in the order of the rows, and as many of each as count
            sizes = [n for n in batch["row"].bincount().tolist() if n]
        else:
            sizes = [min(self.size, len(y) - at) for at in range(0, len(y), self.size)]
        parts = torch.split_with_sizes(outputs, sizes)
        for part, target in zip(parts, torch.split_with_sizes(y, sizes), strict=True):
            summed, weight = self.task.loss(part, {"y": target})
            self.summed.append(summed)
            self.weight.append(float(weight))

    def state(self) -> dict[str, Any]:
        return {"summed": self.summed, "weight": self.weight}

    def merge(self, state: Mapping[str, Any]) -> None:
        self.summed += state["summed"]
        self.weight += state["weight"]

    def compute(self) -> dict[str, float]:
        """The rows are the result."""
        return {}
