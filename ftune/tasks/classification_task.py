"""Classification with one class per row: loss, metrics, predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ftune.tasks.counts import Counts, area_under_roc, ratio
from ftune.tasks.protocol import Batch, directions_of
from ftune.tasks.sums import Sums

_GENERAL = directions_of("loss", "accuracy", "macro_f1")
_BINARY = directions_of("f1", "precision", "recall", "auc")


class ClassificationTask:
    """One logit per class, two classes included. y: int64 [batch]."""

    positions = False

    def __init__(
        self,
        classes: tuple[str, ...],
        weights: Sequence[float] | None,
        smoothing: float,
        positive: int | None,
        own: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        """`own`: a loss of the user's, (outputs, y) -> [rows], in the place of cross-entropy."""
        self.output_names = classes
        self.outputs = len(classes)
        self.positive = positive
        self.own = own
        self.smoothing = smoothing
        self.weights = None if weights is None else torch.tensor(weights, dtype=torch.float32)
        self.directions = _GENERAL if positive is None else {**_GENERAL, **_BINARY}

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor | float]:
        """Cross-entropy; the total weight is that of the rows' classes, as in torch's mean.

        Mixed rows (mixup, cutmix) have the classes of both: `share` is the weight of their own.
        """
        y = batch["y"]
        if "partner" not in batch:
            return self._summed(outputs, y)
        share = batch["share"]
        own = self._mixed(outputs, y, share)
        other = self._mixed(outputs, y[batch["partner"]], 1 - share)
        return own[0] + other[0], own[1] + other[1]

    def _summed(self, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor | float]:
        if self.own is not None:
            return self._rows(outputs, y).sum(), self._weight(y)
        summed = F.cross_entropy(
            outputs.float(), y, self._class_weights(y), reduction="sum",
            label_smoothing=self.smoothing,
        )  # fmt: skip
        return summed, self._weight(y)

    def _mixed(self, outputs: Tensor, y: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        weights = self._class_weights(y)
        total = share.sum() if weights is None else (weights[y] * share).sum()
        return (self._rows(outputs, y) * share).sum(), total

    def _rows(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The loss of each row, weighted by its class: [rows]."""
        weights = self._class_weights(y)
        if self.own is not None:
            losses = self.own(outputs.float(), y)
            return losses if weights is None else losses * weights[y]
        return F.cross_entropy(
            outputs.float(), y, weights, reduction="none", label_smoothing=self.smoothing
        )

    def _class_weights(self, y: Tensor) -> Tensor | None:
        if self.weights is not None:
            self.weights = self.weights.to(y.device)
        return self.weights

    def _weight(self, y: Tensor) -> Tensor | float:
        weights = self._class_weights(y)
        return float(len(y)) if weights is None else weights[y].sum()

    def weight(self, batch: Batch) -> Tensor | float:
        """What `loss` says that a batch weighs; no outputs are needed for it."""
        y = batch["y"]
        weights = self._class_weights(y)
        if "partner" not in batch or weights is None:
            return self._weight(y)
        share = batch["share"]
        return (weights[y] * share + weights[y[batch["partner"]]] * (1 - share)).sum()

    def metrics(self) -> ClassificationMetrics:
        return ClassificationMetrics(self)

    def predictions(self, outputs: Tensor) -> dict[str, list[str] | np.ndarray]:
        """`prediction`, and `probability/<class>` of each class."""
        probabilities = outputs.double().softmax(1).numpy(force=True)
        names = [self.output_names[i] for i in outputs.argmax(1).tolist()]
        columns: dict[str, list[str] | np.ndarray] = {"prediction": names}
        for index, name in enumerate(self.output_names):
            columns[f"probability/{name}"] = probabilities[:, index]
        return columns

    def answers(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Class numbers [rows], and probabilities [rows, classes]."""
        shares = outputs.double().softmax(1)
        return {"predictions": outputs.argmax(1), "targets": batch["y"], "probabilities": shares}


class ClassificationMetrics(Sums):
    """Counts per class; with two classes also a score per row, for the area under the curve."""

    summed = ("counts", "loss", "weight", "scores")

    def __init__(self, task: ClassificationTask) -> None:
        self.task = task
        self.counts = Counts.zeros(task.outputs)
        self.loss: Tensor | float = 0.0
        self.weight: Tensor | float = 0.0
        self.scores: list[tuple[Tensor, Tensor]] = []

    def update(self, outputs: Tensor, batch: Batch) -> None:
        outputs, y = outputs.detach(), batch["y"]
        summed, weight = self.task.loss(outputs, batch)
        self.loss = self.loss + summed.double()
        self.weight = self.weight + (weight.double() if isinstance(weight, Tensor) else weight)
        self.counts.observe(outputs.argmax(1), y)
        if self.task.positive is not None:
            both = outputs.double()
            score = both[:, self.task.positive] - both[:, 1 - self.task.positive]
            self.scores.append((score, y == self.task.positive))

    def compute(self) -> dict[str, float]:
        counts = self.counts
        metrics = {
            "loss": ratio(self.loss, self.weight),
            "accuracy": ratio(counts.right.sum(), counts.true.sum()),
            "macro_f1": counts.macro_f1,
        }
        return metrics if self.task.positive is None else metrics | self._binary(self.task.positive)

    def _binary(self, positive: int) -> dict[str, float]:
        if not self.counts.true.any():
            return dict.fromkeys(_BINARY, float("nan"))
        row = self.counts.row(positive)
        scores, truth = zip(*self.scores, strict=True)
        area = area_under_roc(torch.cat(scores), torch.cat(truth))
        return {key: row[key] for key in ("f1", "precision", "recall")} | {"auc": area}

    def details(self) -> list[dict[str, Any]]:
        """Precision, recall, f1 and number of rows of each class."""
        return self.counts.rows("class", self.task.output_names)
