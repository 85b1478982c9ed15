"""The loss of mixed rows against torch's cross-entropy with probabilities as targets."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from ftune.tasks.classification_task import ClassificationTask

N, CLASSES = 6, 4
DICE = torch.Generator().manual_seed(0)
OUTPUTS = torch.randn(N, CLASSES, generator=DICE)
Y = torch.tensor([0, 1, 2, 3, 0, 2])
PARTNER = torch.tensor([1, 2, 3, 4, 5, 0])


def mixed(share: float) -> dict[str, torch.Tensor]:
    return {"y": Y, "partner": PARTNER, "share": torch.full((N,), share)}


def soft(share: float) -> torch.Tensor:
    """[rows, classes]: the probabilities that a mixed row stands for."""
    one = F.one_hot(Y, CLASSES).float()
    return share * one + (1 - share) * one[PARTNER]


def mean(task: Any, share: float) -> float:
    total, weight = task.loss(OUTPUTS, mixed(share))
    return float(total / weight)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_is_that_of_soft_targets(share: float, smoothing: float) -> None:
    task = ClassificationTask(tuple("abcd"), None, smoothing, None)
    wanted = float(F.cross_entropy(OUTPUTS, soft(share), label_smoothing=smoothing))
    assert mean(task, share) == pytest.approx(wanted, rel=1e-5)
    swapped = float(F.cross_entropy(OUTPUTS, soft(1 - share), label_smoothing=smoothing))
    assert mean(task, share) != pytest.approx(swapped, rel=1e-2)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_weighs_each_class_by_its_share(share: float) -> None:
    """torch sums weighted probabilities; what they weigh together is what we divide by."""
    weights = torch.tensor([1.0, 5.0, 0.5, 2.0])
    task = ClassificationTask(tuple("abcd"), weights.tolist(), 0.0, None)
    wanted = F.cross_entropy(OUTPUTS, soft(share), weights, reduction="sum")
    total, weight = task.loss(OUTPUTS, mixed(share))
    assert float(total) == pytest.approx(float(wanted), rel=1e-5)
    assert float(weight) == pytest.approx(float((soft(share) * weights).sum()), rel=1e-5)
