"""The loss of tasks with a target at each position of a text: tags of words, next tokens."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from ftune.batch import IGNORE_INDEX
from ftune.tasks.protocol import Batch


def summed_cross_entropy(outputs: Tensor, y: Tensor, smoothing: float) -> tuple[Tensor, float]:
    """Return cross-entropy summed over counted positions, and how many they are.

    outputs: [positions, classes]; y: int64 [positions]. Never a mean of batches.
    """
    summed = F.cross_entropy(outputs.float(), y, reduction="sum", label_smoothing=smoothing)
    return summed, float(len(y))


def counted_positions(batch: Batch) -> float:
    """Return how many positions of a batch have a target."""
    return float((batch["y"] != IGNORE_INDEX).sum())
