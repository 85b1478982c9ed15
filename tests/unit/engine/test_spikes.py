"""The spike guard beside a loss scale, and what it advises."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.faulty import bad_at, begin, stops

from ftune.training.run import Run
from ftune.training.train import train

CHANGES = ("train.epochs=6",)


def guarded(folder: Path, policy: str) -> Run:
    guard = f"train.spike_guard={{threshold: 8, window: 10, policy: {policy}}}"
    return begin(folder, guard, *CHANGES)


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_a_spike_leaves_the_loss_scale_usable(policy: str, tmp_path: Path) -> None:
    """The scaler has unscaled the gradients by then, which it does once between two updates."""
    run = guarded(tmp_path / "run", policy)
    run.state.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    with bad_at(40, "loss", 1000.0):
        assert train(run)["steps"] == run.parts.total
    assert run.state.skipped_faults == 1


def test_the_advice_is_for_spikes(tmp_path: Path) -> None:
    run = guarded(tmp_path / "run", "stop")
    with bad_at(40, "loss", 1000.0):
        said = stops(run)
    assert "jumped" in said and "train.spike_guard" in said and "non_finite" not in said
