"""mixup and cutmix by their papers, with the numbers drawn by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ftune.data.transforms.mixup import Cutmix, Mixup

PARTNER = torch.tensor([2, 0, 1])


def pictures(height: int, width: int) -> torch.Tensor:
    return torch.rand(3, 2, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_mixup_is_a_weighted_mean(alpha: float) -> None:
    x = pictures(4, 5)
    result, share = Mixup(alpha).mix(x, PARTNER, np.random.default_rng(3))
    weight = np.random.default_rng(3).beta(alpha, alpha)
    assert share == weight
    for row, other in enumerate(PARTNER.tolist()):
        assert torch.allclose(result[row], weight * x[row] + (1 - weight) * x[other])


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize(("height", "width"), [(17, 30), (30, 17), (8, 8), (1, 5)])
def test_cutmix_pastes_the_box_of_its_paper(height: int, width: int, seed: int) -> None:
    """Sides · sqrt(1 - lambda) about a random middle, cut off at the rim (Yun et al., alg. A1)."""
    x = pictures(height, width)
    result, share = Cutmix(0.7).mix(x, PARTNER, np.random.default_rng(seed))
    dice = np.random.default_rng(seed)
    side = math.sqrt(1 - dice.beta(0.7, 0.7))
    spans = []
    for length in (height, width):
        middle, extent = int(dice.integers(length)), int(length * side)
        first = middle - math.floor(extent / 2)
        spans.append([place for place in range(first, first + extent) if 0 <= place < length])
    pasted = torch.zeros(height, width, dtype=torch.bool)
    for row in spans[0]:
        pasted[row, spans[1]] = True
    assert torch.equal(result, torch.where(pasted, x[PARTNER], x))
    assert share == pytest.approx(1 - float(pasted.float().mean()), abs=1e-6)
    assert torch.equal(x, pictures(height, width))  # the batch itself is left alone


def test_shares_of_few_numbers_are_at_the_ends() -> None:
    """A small alpha keeps an image nearly whole, a large one halves it."""
    dice = np.random.default_rng(0)
    near, even = (
        np.array([Mixup(alpha).mix(pictures(2, 2), PARTNER, dice)[1] for _ in range(300)])
        for alpha in (0.05, 50.0)
    )
    assert (np.minimum(near, 1 - near) < 0.05).mean() > 0.7 and abs(even - 0.5).max() < 0.25
