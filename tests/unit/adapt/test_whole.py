"""Weights that are no numbers are found before the training."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from support.trainings import configuration
from torch import nn

from ftune.adapt.whole import broken_tensor
from ftune.assembly.build import build, read_data
from ftune.errors import CheckpointError
from ftune.runs.base import Base


def model() -> nn.Module:
    found = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    found.register_buffer("mask", torch.full((2, 2), -math.inf))
    return found


def test_whole_weights_and_infinite_masks_pass() -> None:
    assert broken_tensor(model()) == ("", "")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("0.weight", math.nan, "NaN in 1 of its 6 values"),
        ("0.bias", -math.inf, "infinity in 1 of its 2 values"),
        ("1.running_var", math.nan, "NaN in 1 of its 2 values"),
    ],
)
def test_the_first_broken_tensor_is_named(name: str, value: float, told: str) -> None:
    broken = model()
    broken.state_dict()[name].view(-1)[1] = value
    assert broken_tensor(broken) == (name, told)


def test_a_base_names_its_file(tmp_path: Path) -> None:
    config = configuration()
    data = read_data(config)
    weights = {k: v.clone() for k, v in build(config, data).model.state_dict().items()}
    file = tmp_path / "old.pt"
    build(config, data, Base(file, weights))
    name = next(name for name, tensor in weights.items() if tensor.dim() == 2)
    weights[name][0, 0] = math.nan
    with pytest.raises(CheckpointError, match=rf"old.pt: `{name}` holds NaN in 1 of"):
        build(config, data, Base(file, weights))
    weights[name] = weights[name].half()
    with pytest.raises(CheckpointError, match="NaN"):
        build(config, data, Base(file, weights))
