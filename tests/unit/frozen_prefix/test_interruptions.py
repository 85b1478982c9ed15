"""Stored activations where a training is resumed, meets a fault or runs out of memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.prefixes import Seen, apart, config_of, trained
from support.trainings import assert_same, configuration, interrupted, trace, undisturbed
from torch import nn

from ftune.engine.state import State
from ftune.engine.step import StepResult
from ftune.errors import DivergedError


def test_a_resumed_training_has_the_same_bits(tmp_path: Path) -> None:
    plain = config_of("convnet", tmp_path, ["fc1.*", "fc2.*"], train={"cache": "on", "ema": 0.9})
    plain["adapt"].append({"match": "conv2.*", "train": True, "from_epoch": 2})
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    undisturbed(configuration(plain=plain), whole)
    for file in (tmp_path / "cache/prefix").iterdir():
        file.unlink()
    interrupted(configuration(plain=plain), parted, [3, 11, 20])
    assert_same(trace(whole), trace(parted))


def test_the_rows_of_a_fault_are_found_in_the_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, on_step, steps = nn.Linear.forward, Seen.on_step, list[str]()

    def broken(self: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        y = forward(self, x)
        return y * torch.inf if steps and self.out_features == 10 else y

    def note(self: Seen, state: State, result: StepResult) -> None:
        on_step(self, state, result)
        steps.append(self.cuts[-1])

    monkeypatch.setattr(nn.Linear, "forward", broken)
    monkeypatch.setattr(Seen, "on_step", note)
    with pytest.raises(DivergedError, match=r"of head .*every row of the batch of 16"):
        trained(config_of("mlp", tmp_path, ["head.*"]))
    assert steps == ["head"]


def test_micro_batches_shrink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of("mlp", tmp_path, ["layer3.*", "head.*"])
    without, forward = trained(config, "off"), nn.Linear.forward

    def narrow(self: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        if self.training and len(x) > 8:
            raise torch.OutOfMemoryError("out of memory")
        return forward(self, x)

    monkeypatch.setattr(nn.Linear, "forward", narrow)
    seen: Seen = trained(config)
    assert set(seen.cuts) == {"layer3"}
    assert apart(without, seen) < 1e-5
    assert len(seen.warnings) == 1 and "in 2 parts" in seen.warnings[0]
