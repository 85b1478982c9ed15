"""A loss that the user registers, in the place of the built-in one, against torch's of its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ftune.config.read import SettingError
from ftune.tasks import LOSSES
from ftune.tasks.classification import Classification
from ftune.tasks.regression import Regression

Y = torch.tensor([0, 2, 1, 2, 2])


def margin(outputs: Tensor, y: Tensor) -> Tensor:
    assert outputs.dtype == torch.float32, "half precision stays in the model"
    return F.multi_margin_loss(outputs, y, reduction="none")


def poisson(outputs: Tensor, y: Tensor) -> Tensor:
    assert outputs.dtype == torch.float32 and outputs.shape == y.shape
    return F.poisson_nll_loss(outputs, y, reduction="none")


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, loss in (("margin", margin), ("poisson", poisson)):
        monkeypatch.setitem(LOSSES, name, loss)


def drawn(outputs: int) -> Tensor:
    return torch.randn(len(Y), outputs, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("weights", [None, {"a": 0.5, "c": 4.0}])
def test_of_classes(weights: dict[str, float] | None) -> None:
    task = Classification(weights, loss="margin").build(tuple("abc"), ("y",), Y, lambda x: x, 0)
    outputs = drawn(3)
    weight = torch.tensor([0.5, 1.0, 4.0]) if weights else torch.ones(3)
    expected = F.multi_margin_loss(outputs, Y, weight=weight, reduction="sum")
    summed, total = task.loss(outputs, {"y": Y})
    torch.testing.assert_close(summed, expected)
    assert float(total) == float(weight[Y].sum())
    metrics = task.metrics()
    for part in (slice(0, 1), slice(1, 5)):
        metrics.update(outputs[part], {"y": Y[part]})
    mean = float(expected / weight[Y].sum())
    assert metrics.compute()["loss"] == pytest.approx(mean, rel=1e-6)
    assert float(F.cross_entropy(outputs, Y, weight)) != pytest.approx(mean, rel=0.01)
    torch.testing.assert_close(
        task.loss(outputs.bfloat16(), {"y": Y})[0], expected, rtol=0.02, atol=0.02
    )


@pytest.mark.parametrize("targets", [("a",), ("a", "b")])
def test_of_numbers(targets: tuple[str, ...]) -> None:
    task = Regression(loss="poisson").build((), targets, Y, lambda x: x, 0)
    outputs, y = drawn(len(targets)), drawn(len(targets)).flip(0) / 2
    expected = outputs.exp() - y * outputs
    summed, total = task.loss(outputs, {"y": y.squeeze(1) if len(targets) == 1 else y})
    torch.testing.assert_close(summed, expected.sum())
    assert total == y.numel()
    metrics = task.metrics()
    for part in (slice(0, 1), slice(1, 5)):
        metrics.update(outputs[part], {"y": y[part], "raw": y[part].double()})
    assert metrics.compute()["loss"] == pytest.approx(float(expected.mean()), rel=1e-6)
    assert task.loss(outputs.bfloat16(), {"y": y})[0].dtype == torch.float32


REFUSED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "unknown to classes": (lambda: Classification(loss="margn"), "loss", "margin"),
    "unknown to numbers": (lambda: Regression(loss="hubre"), "loss", "huber"),
    "of the other task": (lambda: Regression(loss="cross_entropy"), "loss", "mse"),
    "with smoothing": (
        lambda: Classification(loss="margin", label_smoothing=0.1), "loss",
        "`margin` does not go with `label_smoothing`",
    ),
    "with labels": (
        lambda: Classification(loss="margin", multi_label=True), "loss",
        "`margin` does not go with `multi_label`",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_together(name: str) -> None:
    build, setting, said = REFUSED[name]
    with pytest.raises(SettingError) as caught:
        build()
    assert caught.value.setting == setting and said in str(caught.value)
