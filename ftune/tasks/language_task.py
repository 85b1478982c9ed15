"""Language modelling: loss and perplexity over all tokens that count."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ftune.tasks.counts import ratio
from ftune.tasks.positions import counted_positions, summed_cross_entropy
from ftune.tasks.protocol import Batch, directions_of
from ftune.tasks.sums import Sums


class LanguageModelTask:
    """One logit per token id. outputs: [counted positions, vocabulary]; y: int64 [positions]."""

    output_names: tuple[str, ...] = ()
    positions = True
    directions = directions_of("loss", "perplexity", "accuracy")

    def __init__(self, vocabulary: int, smoothing: float) -> None:
        self.outputs = vocabulary
        self.smoothing = smoothing

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, float]:
        """Cross-entropy summed over tokens, and how many they are: never a mean of batches."""
        return summed_cross_entropy(outputs, batch["y"], self.smoothing)

    def weight(self, batch: Batch) -> float:
        return counted_positions(batch)

    def metrics(self) -> LanguageModelMetrics:
        return LanguageModelMetrics(self)

    def predictions(self, outputs: Tensor) -> dict[str, list[str] | np.ndarray]:
        """Texts are generated, not predicted row by row."""
        raise NotImplementedError(f"{len(outputs)} rows: generate instead")

    def answers(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The likeliest token of each counted position, and the true one: [positions]."""
        return {"predictions": outputs.argmax(1), "targets": batch["y"]}


class LanguageModelMetrics(Sums):
    """Sums over tokens; perplexity is exp of their mean loss in nats (Jelinek et al. 1977)."""

    summed = ("loss", "right", "tokens")

    def __init__(self, task: LanguageModelTask) -> None:
        self.task = task
        self.loss: Tensor | float = 0.0
        self.right: Tensor | int = 0
        self.tokens = 0

    def update(self, outputs: Tensor, batch: Batch) -> None:
        y = batch["y"]
        entropy = F.cross_entropy(outputs.detach().float(), y, reduction="sum")
        self.loss = self.loss + entropy.double()
        self.right = self.right + (outputs.argmax(1) == y).sum()
        self.tokens += len(y)

    def compute(self) -> dict[str, float]:
        loss = ratio(self.loss, self.tokens)
        return {
            "loss": loss,
            "perplexity": float(torch.tensor(loss, dtype=torch.float64).exp()),
            "accuracy": ratio(self.right, self.tokens),
            "tokens": self.tokens,
        }

    def details(self) -> list[dict[str, Any]]:
        """There is nothing to tell apart."""
        return []
