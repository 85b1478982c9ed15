"""Regression: loss, metrics, predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ftune.tasks.counts import ratio
from ftune.tasks.protocol import Batch, directions_of
from ftune.tasks.sums import Sums


class RegressionTask:
    """One output per target. y: float [batch, targets], or [batch] for one.

    The loss is in the unit that the model sees. The other metrics compare predictions in the
    targets' own unit with `raw`, float64 of the shape of y: the values of the file, never ones
    taken back from y, which may be clipped, ranked or rounded.
    """

    positions = False

    def __init__(
        self,
        targets: tuple[str, ...],
        loss: str,
        delta: float,
        invert: Callable[[Tensor], Tensor],
        own: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        """`own`: a loss of the user's, (outputs, y) -> [rows] or [rows, targets]."""
        self.output_names = targets
        self.outputs = len(targets)
        self.kind, self.own = loss, own
        self.delta = delta
        self.invert = invert
        several = [f"r2/{name}" for name in targets] if self.outputs > 1 else []
        self.directions = directions_of("loss", "rmse", "mae", "r2", *several)

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, float]:
        """The error summed over rows and targets, and how many numbers that is."""
        outputs = outputs.float()
        y = batch["y"].reshape(outputs.shape)
        if self.own is not None:
            each = self.own(outputs, y)
            return each.sum(), float(each.numel())
        if self.kind == "mse":
            summed = F.mse_loss(outputs, y, reduction="sum")
        elif self.kind == "mae":
            summed = F.l1_loss(outputs, y, reduction="sum")
        else:
            summed = F.huber_loss(outputs, y, reduction="sum", delta=self.delta)
        return summed, float(y.numel())

    def weight(self, batch: Batch) -> float:
        return float(batch["y"].numel())

    def metrics(self) -> RegressionMetrics:
        return RegressionMetrics(self)

    def predictions(self, outputs: Tensor) -> dict[str, list[str] | np.ndarray]:
        """`<target>` in its own unit."""
        values = self.invert(outputs.double()).numpy(force=True)
        return {name: values[:, index] for index, name in enumerate(self.output_names)}

    def answers(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """float64 in the targets' own unit: [rows], of several targets [rows, targets]."""
        values = self.invert(outputs.double())
        return {
            "predictions": values.squeeze(1),
            "targets": batch["raw"].reshape(values.shape).squeeze(1),
        }


class RegressionMetrics(Sums):
    """Sums of errors, and the spread of the truth merged batch by batch (Chan et al. 1979)."""

    summed = ("loss", "weight", "squared", "absolute")

    def __init__(self, task: RegressionTask) -> None:
        self.task = task
        self.loss: Tensor | float = 0.0
        self.weight = 0.0
        self.rows = 0
        zeros = torch.zeros(task.outputs, dtype=torch.float64)
        self.squared, self.absolute, self.mean, self.spread = zeros, zeros, zeros, zeros
        self.low, self.high = zeros + torch.inf, zeros - torch.inf

    def update(self, outputs: Tensor, batch: Batch) -> None:
        if not len(outputs):
            return
        outputs = outputs.detach()
        summed, weight = self.task.loss(outputs, batch)
        self.loss = self.loss + summed.double()
        self.weight += weight
        truth = batch["raw"].cpu().reshape(outputs.shape)
        error = self.task.invert(outputs.double()).cpu() - truth
        self.squared = self.squared + error.square().sum(0)
        self.absolute = self.absolute + error.abs().sum(0)
        mean = truth.mean(0)
        within = (truth - mean).square().sum(0)
        self._add_spread(len(truth), mean, within, truth.amin(0), truth.amax(0))

    def _add_spread(
        self, rows: int, mean: Tensor, spread: Tensor, low: Tensor, high: Tensor
    ) -> None:
        """Add other rows: their mean, sum of squared deviations from it, and range."""
        step, before = mean - self.mean, self.rows
        self.rows = before + rows
        self.mean = self.mean + step * rows / self.rows
        self.spread = self.spread + spread + step.square() * before * rows / self.rows
        self.low, self.high = self.low.minimum(low), self.high.maximum(high)

    def state(self) -> dict[str, Any]:
        names = ("rows", "mean", "spread", "low", "high")
        return super().state() | {"truth": [getattr(self, name) for name in names]}

    def merge(self, state: Mapping[str, Any]) -> None:
        super().merge(state)
        if state["truth"][0]:
            self._add_spread(*state["truth"])

    def compute(self) -> dict[str, float]:
        r2 = self._r2()
        metrics = {
            "loss": ratio(self.loss, self.weight),
            "rmse": float(self.squared.div(self.rows).sqrt().mean()),
            "mae": ratio(self.absolute.mean(), self.rows),
            "r2": float(r2.mean()),
        }
        if self.task.outputs > 1:
            names = enumerate(self.task.output_names)
            metrics |= {f"r2/{name}": float(r2[index]) for index, name in names}
        return metrics

    def _r2(self) -> Tensor:
        """1 - squared error / spread; of a constant truth 1 if met exactly, else 0, as sklearn.

        NaN for fewer than two rows, which have no spread.
        """
        if self.rows < 2:
            return torch.full_like(self.spread, torch.nan)
        constant = self.low == self.high
        met = (self.squared == 0).double()
        return torch.where(constant, met, 1 - self.squared / self.spread)

    def details(self) -> list[dict[str, Any]]:
        """Errors and r2 of each target."""
        r2, names = self._r2(), enumerate(self.task.output_names)
        return [
            {
                "target": name,
                "rmse": ratio(self.squared[i], self.rows) ** 0.5,
                "mae": ratio(self.absolute[i], self.rows),
                "r2": float(r2[i]),
            }
            for i, name in names
        ]
