"""Mixup and cutmix in the loss, against torch's cross-entropy of rows and of soft targets."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ftune.tasks.classification_task import ClassificationTask

WEIGHTS = (0.5, 1.0, 3.0)
PARTNER = torch.tensor([3, 2, 0, 1])
Y = torch.tensor([0, 1, 2, 1])


def task(weights: tuple[float, ...] | None = WEIGHTS, smoothing: float = 0.0) -> ClassificationTask:
    return ClassificationTask(("a", "b", "c"), weights, smoothing, None)


def outputs() -> Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(1))


def mixed(share: float) -> dict[str, Tensor]:
    return {"y": Y, "partner": PARTNER, "share": torch.full((4,), share)}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_loss_is_torchs_of_soft_targets(
    weights: tuple[float, ...] | None, smoothing: float
) -> None:
    soft = 0.7 * F.one_hot(Y, 3) + 0.3 * F.one_hot(Y[PARTNER], 3)
    class_weights = None if weights is None else torch.tensor(weights)
    expected = F.cross_entropy(
        outputs(), soft, class_weights, reduction="sum", label_smoothing=smoothing
    )
    summed, weight = task(weights, smoothing).loss(outputs(), mixed(0.7))
    torch.testing.assert_close(summed, expected)
    per_class = torch.ones(3) if class_weights is None else class_weights
    torch.testing.assert_close(torch.as_tensor(weight), (soft @ per_class).sum())


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_a_share_of_three_quarters_is_three_rows_beside_one(
    weights: tuple[float, ...] | None,
) -> None:
    """torch's weighted mean over each row three times with its class, once with its partner's."""
    repeated, classes = outputs().repeat(4, 1), torch.cat([Y, Y, Y, Y[PARTNER]])
    class_weights = None if weights is None else torch.tensor(weights)
    summed, weight = task(weights).loss(outputs(), mixed(0.75))
    torch.testing.assert_close(summed / weight, F.cross_entropy(repeated, classes, class_weights))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_control_the_partners_share_and_weights_are_seen(
    weights: tuple[float, ...] | None,
) -> None:
    """With the partner's rows weighed as the own ones, or without class weights, it is another."""
    summed, weight = task(weights).loss(outputs(), mixed(0.75))
    swapped, its_weight = task(weights).loss(outputs(), mixed(0.25))
    assert not torch.allclose(summed / weight, swapped / its_weight, atol=1e-3)
    other, its_weight = task((1.0, 1.0, 2.0)).loss(outputs(), mixed(0.75))
    assert not torch.allclose(summed / weight, other / its_weight, atol=1e-3)


def test_a_loss_of_the_users_is_mixed_and_weighted_row_by_row() -> None:
    def own(outputs: Tensor, y: Tensor) -> Tensor:
        return (outputs.gather(1, y[:, None])[:, 0] - 1).abs()

    with_own = ClassificationTask(("a", "b", "c"), WEIGHTS, 0.0, None, own)
    weights = torch.tensor(WEIGHTS)
    rows = [own(outputs(), classes) * weights[classes] for classes in (Y, Y[PARTNER])]
    summed, weight = with_own.loss(outputs(), mixed(0.75))
    torch.testing.assert_close(summed, (0.75 * rows[0] + 0.25 * rows[1]).sum())
    expected = 0.75 * weights[Y].sum() + 0.25 * weights[Y[PARTNER]].sum()
    torch.testing.assert_close(torch.as_tensor(weight), expected)
    summed, weight = with_own.loss(outputs(), {"y": Y})
    torch.testing.assert_close(summed, rows[0].sum())
    torch.testing.assert_close(torch.as_tensor(weight), weights[Y].sum())
