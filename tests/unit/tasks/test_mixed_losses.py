"""Losses of mixed rows (mixup, cutmix) against torch's cross-entropy of soft targets."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ftune.data.dataset import Split
from ftune.data.store import Dense, RngKey
from ftune.tasks.classification_task import ClassificationTask
from ftune.tasks.multi_label_task import MultiLabelTask
from ftune.tasks.regression_task import RegressionTask

NAMES = ("cat", "dog", "emu")
WEIGHTS = (0.5, 1.0, 4.0)
ROWS = 10


class Mixing(Dense):
    """Rows as a mixing store gives them, in training."""

    def take(self, rows: Tensor, rng_key: RngKey | None = None) -> dict[str, Tensor]:
        plain = super().take(rows)
        mixed = {"partner": rows.flip(0), "share": torch.linspace(0.05, 0.9, len(rows))}
        return plain if rng_key is None else plain | mixed


def batch(y: Tensor, raw: Tensor | None = None) -> dict[str, Tensor]:
    split = Split(Mixing(torch.zeros(ROWS, 1)), y, torch.arange(ROWS), raw)
    return split.batch(torch.arange(ROWS), RngKey(0, 0))


def drawn(outputs: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(0, outputs, (ROWS,), generator=generator)
    return torch.randn(ROWS, outputs, generator=generator), y


def soft(y: Tensor, mixed: dict[str, Tensor]) -> Tensor:
    """Each row's share of its own class and the rest of its partner's: [rows, classes]."""
    hot, share = F.one_hot(y, len(NAMES)).float(), mixed["share"][:, None]
    return share * hot + (1 - share) * hot[mixed["partner"]]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_mixed_classes_are_soft_targets(
    weights: tuple[float, ...] | None, smoothing: float
) -> None:
    """torch sums them weighted by class; the mean is by the weight that each class has in them."""
    outputs, y = drawn(3)
    mixed = batch(y)
    summed, total = ClassificationTask(NAMES, weights, smoothing, None).loss(outputs, mixed)
    weight = torch.tensor(weights or (1.0, 1.0, 1.0))
    target = soft(y, mixed)
    expected = F.cross_entropy(outputs, target, weight, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(summed, expected)
    torch.testing.assert_close(torch.as_tensor(total), (target @ weight).sum())
    whole = ClassificationTask(NAMES, weights, smoothing, None).loss(outputs, {"y": y})
    assert float(summed) != pytest.approx(float(whole[0]), rel=1e-3), "rows are mixed"


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_what_a_batch_weighs_needs_no_outputs(weights: tuple[float, ...] | None) -> None:
    outputs, y = drawn(3)
    task = ClassificationTask(NAMES, weights, 0.0, None)
    for own in (batch(y), {"y": y}):
        known = torch.as_tensor(task.weight(own))
        torch.testing.assert_close(known, torch.as_tensor(task.loss(outputs, own)[1]))
        share = own.get("share", torch.ones(ROWS))
        hot = F.one_hot(y, 3) * share[:, None]
        hot = hot + F.one_hot(y[own.get("partner", y * 0)], 3) * (1 - share[:, None])
        expected = (hot @ torch.tensor(weights or (1.0, 1.0, 1.0))).sum()
        assert float(known) == pytest.approx(float(expected), rel=1e-6)


def test_rows_mixed_with_nothing_are_the_rows_themselves() -> None:
    outputs, y = drawn(3)
    mixed = batch(y) | {"share": torch.ones(ROWS)}
    task = ClassificationTask(NAMES, WEIGHTS, 0.1, None)
    for one, other in zip(task.loss(outputs, mixed), task.loss(outputs, {"y": y}), strict=True):
        torch.testing.assert_close(torch.as_tensor(one), torch.as_tensor(other))


def test_a_loss_of_the_users_is_mixed_and_weighted_too() -> None:
    outputs, y = drawn(3)
    mixed = batch(y)

    def own(outputs: Tensor, y: Tensor) -> Tensor:
        return F.multi_margin_loss(outputs, y, reduction="none")

    summed, total = ClassificationTask(NAMES, WEIGHTS, 0.0, None, own).loss(outputs, mixed)
    weight, share, partner = torch.tensor(WEIGHTS), mixed["share"], mixed["partner"]
    own_class, other = own(outputs, y) * weight[y], own(outputs, y[partner]) * weight[y[partner]]
    torch.testing.assert_close(summed, (share * own_class + (1 - share) * other).sum())
    torch.testing.assert_close(torch.as_tensor(total), (soft(y, mixed) @ weight).sum())


def test_mixed_numbers_and_labels_are_means_and_what_the_file_says_is_not_mixed() -> None:
    y = torch.rand(ROWS, 2)
    raw = y.double() * 100
    mixed = batch(y, raw)
    share = mixed["share"][:, None]
    target = share * y + (1 - share) * y.flip(0)
    torch.testing.assert_close(mixed["y"], target)
    assert "raw" not in mixed
    outputs = torch.randn(ROWS, 2)
    invert: Callable[[Tensor], Tensor] = lambda y: y * 100  # noqa: E731
    summed, _ = RegressionTask(("a", "b"), "mse", 1.0, invert).loss(outputs, mixed)
    torch.testing.assert_close(summed, F.mse_loss(outputs, target, reduction="sum"))
    summed, _ = MultiLabelTask(("a", "b"), (0.5, 4.0), 0.0, 0.5).loss(outputs, mixed)
    weight = torch.tensor((0.5, 4.0))
    expected = F.binary_cross_entropy_with_logits(outputs, target, weight, reduction="sum")
    torch.testing.assert_close(summed, expected)
    split = Split(Mixing(torch.zeros(ROWS, 1)), y, torch.arange(ROWS), raw)
    plain = split.batch(torch.tensor([7, 2]))
    assert torch.equal(plain["raw"], raw[[7, 2]]) and torch.equal(plain["y"], y[[7, 2]])
