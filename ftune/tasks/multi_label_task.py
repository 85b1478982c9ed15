"""Classification with several labels per row: loss, metrics, predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ftune.tasks.counts import Counts, ratio
from ftune.tasks.protocol import Batch, directions_of
from ftune.tasks.sums import Sums


class MultiLabelTask:
    """One logit per label. y: [batch, labels] of 0 and 1."""

    directions = directions_of("loss", "accuracy", "exact", "macro_f1")
    positions = False

    def __init__(
        self,
        labels: tuple[str, ...],
        weights: Sequence[float] | None,
        smoothing: float,
        threshold: float,
    ) -> None:
        self.output_names = labels
        self.outputs = len(labels)
        self.smoothing = smoothing
        self.threshold = threshold
        self.weights = None if weights is None else torch.tensor(weights, dtype=torch.float32)
        self.row_weight = float(len(labels) if weights is None else sum(weights))

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, float]:
        """Binary cross-entropy, weighted by label; smoothing moves targets towards one half."""
        if self.weights is not None:
            self.weights = self.weights.to(outputs.device)
        y = batch["y"]
        target = y.float()
        if self.smoothing:
            target = target * (1 - self.smoothing) + self.smoothing / 2
        summed = F.binary_cross_entropy_with_logits(
            outputs.float(), target, self.weights, reduction="sum"
        )
        return summed, len(y) * self.row_weight

    def weight(self, batch: Batch) -> float:
        return float(len(batch["y"]))

    def metrics(self) -> MultiLabelMetrics:
        return MultiLabelMetrics(self)

    def decide(self, outputs: Tensor) -> Tensor:
        """bool [rows, labels]: whether the probability reaches the threshold."""
        return outputs.double().sigmoid() >= self.threshold

    def predictions(self, outputs: Tensor) -> dict[str, list[str] | np.ndarray]:
        """`<label>` as 0 or 1, and `probability/<label>` of each label."""
        probabilities = outputs.double().sigmoid().numpy(force=True)
        decided = (probabilities >= self.threshold).astype(np.int64)
        columns = {name: decided[:, i] for i, name in enumerate(self.output_names)}
        shares = {f"probability/{n}": probabilities[:, i] for i, n in enumerate(self.output_names)}
        return {**columns, **shares}

    def answers(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """0 or 1 [rows, labels], and probabilities of the same shape."""
        decided = self.decide(outputs).long()
        shares = outputs.double().sigmoid()
        return {"predictions": decided, "targets": batch["y"].long(), "probabilities": shares}


class MultiLabelMetrics(Sums):
    """Counts per label.

    macro_f1 is the mean over all labels; one that neither occurs nor is predicted counts 0, as in
    scikit-learn, where each column is asked for.
    """

    summed = ("counts", "loss", "weight", "rows", "same", "exact")

    def __init__(self, task: MultiLabelTask) -> None:
        self.task = task
        self.counts = Counts.zeros(task.outputs)
        self.loss: Tensor | float = 0.0
        self.weight = 0.0
        self.rows = 0
        self.same: Tensor | int = 0
        self.exact: Tensor | int = 0

    def update(self, outputs: Tensor, batch: Batch) -> None:
        outputs, y = outputs.detach(), batch["y"]
        summed, weight = self.task.loss(outputs, batch)
        self.loss = self.loss + summed.double()
        self.weight += weight
        self.rows += len(y)
        predicted, true = self.task.decide(outputs), y.bool()
        same = predicted == true
        self.same = self.same + same.sum()
        self.exact = self.exact + same.all(1).sum()
        self.counts.add((predicted & true).sum(0), predicted.sum(0), true.sum(0))

    def compute(self) -> dict[str, float]:
        return {
            "loss": ratio(self.loss, self.weight),
            "accuracy": ratio(self.same, self.rows * self.task.outputs),
            "exact": ratio(self.exact, self.rows),
            "macro_f1": float(self.counts.f1.mean()) if self.rows else math.nan,
        }

    def details(self) -> list[dict[str, Any]]:
        """Precision, recall, f1 and number of rows of each label."""
        return self.counts.rows("label", self.task.output_names)
