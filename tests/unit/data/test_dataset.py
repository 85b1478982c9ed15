"""Batches of inputs and targets."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from ftune.data.dataset import Split
from ftune.data.store import Dense, RngKey


@dataclass(frozen=True)
class Mixing(Dense):
    """Rows that are mixed with the next one, `share` of each remaining."""

    share: float = 0.8

    def take(self, rows: torch.Tensor, rng_key: RngKey | None = None) -> dict[str, torch.Tensor]:
        x = super().take(rows, rng_key)["x"]
        if rng_key is None:
            return {"x": x}
        partner = torch.arange(len(x)).roll(-1)
        mixed = x * self.share + x[partner] * (1 - self.share)
        return {"x": mixed, "partner": partner, "share": torch.full((len(x),), self.share)}


@pytest.mark.parametrize("share", [0.0, 0.25, 0.8, 1.0])
def test_mixed_numbers_stay_those_of_their_inputs(share: float) -> None:
    """Where y is linear in x it is so of mixed rows, too; with the shares swapped it is not."""
    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    y = x @ torch.tensor([[1.0, -1.0], [2.0, 0.5], [0.0, 3.0]])
    split = Split(Mixing(x, share=share), y, torch.arange(1, 13))
    rows = torch.tensor([7, 1, 4, 9, 0])
    batch = split.batch(rows, RngKey(0, 0))
    wanted = batch["x"] @ torch.tensor([[1.0, -1.0], [2.0, 0.5], [0.0, 3.0]])
    assert torch.allclose(batch["y"], wanted, atol=1e-5)
    swapped = y[rows] * (1 - share) + y[rows][batch["partner"]] * share
    assert not torch.allclose(swapped, wanted, atol=1e-2)
    assert torch.equal(split.batch(rows)["y"], y[rows])


def test_mixed_classes_stay_whole() -> None:
    """Theirs is the loss of both, weighted: see the task."""
    y = torch.arange(5)
    split = Split(Mixing(torch.zeros(5, 2)), y, torch.arange(1, 6))
    assert torch.equal(split.batch(torch.arange(5), RngKey(0, 0))["y"], y)
