"""Language modelling: sums over tokens against torch and scikit-learn, whatever the batches."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn import metrics as reference
from torch.nn import functional as F

from ftune.tasks.language_task import LanguageModelTask


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_perplexity_of_uneven_batches_is_that_of_all_tokens(smoothing: float) -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(70, 11, generator=generator) * 3
    y = torch.randint(0, 11, (70,), generator=generator)
    metrics, cuts = LanguageModelTask(11, smoothing).metrics(), [1, 2, 50, 17, 0]
    losses = []
    for one, true in zip(torch.split(outputs, cuts), torch.split(y, cuts), strict=True):
        metrics.update(one, {"y": true})
        losses.append(float(F.cross_entropy(one, true)) if len(true) else math.nan)
    found, entropy = metrics.compute(), float(F.cross_entropy(outputs, y))
    assert found["loss"] == pytest.approx(entropy, rel=1e-6), "without the smoothing"
    assert found["loss"] == pytest.approx(
        reference.log_loss(y, outputs.double().softmax(1), labels=range(11)), rel=1e-6
    )
    assert found["perplexity"] == pytest.approx(math.exp(entropy), rel=1e-6)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(y, outputs.argmax(1)))
    assert found["tokens"] == 70
    means = sum(losses[:4]) / 4
    assert math.exp(means) != pytest.approx(found["perplexity"], rel=0.01), "a mean of means"


def test_no_tokens_and_hopeless_ones() -> None:
    found = LanguageModelTask(3, 0.0).metrics().compute()
    assert all(math.isnan(found[name]) for name in ("loss", "perplexity", "accuracy"))
    assert found["tokens"] == 0
    metrics = LanguageModelTask(2, 0.0).metrics()
    metrics.update(torch.tensor([[0.0, 5000.0]]), {"y": torch.tensor([0])})
    assert metrics.compute()["perplexity"] == math.inf
    metrics = LanguageModelTask(2, 0.0).metrics()
    metrics.update(torch.tensor([[0.0, 709.0]]), {"y": torch.tensor([0])})
    assert metrics.compute()["perplexity"] == pytest.approx(math.exp(709))


def test_smoothing_is_torchs_in_the_training_loss() -> None:
    outputs, y = torch.randn(9, 5), torch.arange(9) % 5
    summed, weight = LanguageModelTask(5, 0.3).loss(outputs, {"y": y})
    expected = F.cross_entropy(outputs, y, label_smoothing=0.3)
    torch.testing.assert_close(summed / weight, expected)
