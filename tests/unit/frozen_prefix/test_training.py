"""A training from stored activations is the training that computes them in each step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.prefixes import Seen, apart, config_of, trained
from support.tiny_hf import save_models
from torch import Tensor

from ftune.frozen_prefix.rows import StoredRows

LAYER = "encoder.encoder.layer.1"
CASES = [
    ("mlp", ["layer3.*", "head.*"], "layer3"),
    ("batchnorm", ["layer3.*", "head.*"], "layer3"),
    ("convnet", ["fc2.*"], "fc2"),
    ("convnet", ["fc1.*", "fc2.*"], "fc1"),
    ("bert", ["head.*"], "dropout"),
    ("bert", [f"{LAYER}.*", "head.*"], LAYER),
    ("llama", ["*.layers.1.*"], "lm.model.layers.1"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_models(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("name", "moving", "path"), CASES)
def test_losses_are_those_without_it(name: str, moving: list[str], path: str, folder: Path) -> None:
    config = config_of(name, folder, moving)
    without, cached = trained(config, "off"), trained(config)
    assert set(cached.cuts) == {path} and not cached.warnings
    assert set(without.cuts) == {""}
    assert apart(without, cached) < 1e-5
    assert apart(cached, trained(config)) == 0  # read from the disk
    assert list((folder / "cache/prefix").glob("*.rows"))


def test_wrong_values_are_found_and_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of("bert", folder, [f"{LAYER}.*", "head.*"])
    without, take = trained(config, "off"), StoredRows.take

    def shifted(self: StoredRows, rows: Tensor, device: torch.device) -> Tensor:
        return take(self, rows, device).roll(1, 0)

    monkeypatch.setattr(StoredRows, "take", shifted)
    seen = trained(config)
    assert set(seen.cuts) == {""} and apart(without, seen) == 0
    assert "differ" in seen.warnings[0]


def test_what_an_earlier_run_left_is_made_again_where_it_is_wrong(folder: Path) -> None:
    config = config_of("convnet", folder, ["fc2.*"])
    first = trained(config)
    for file in (folder / "cache/prefix").glob("*.rows"):
        file.write_bytes(bytes(file.stat().st_size))
    again = trained(config)
    assert apart(first, again) == 0 and set(again.cuts) == {"fc2"} and not again.warnings


@pytest.mark.parametrize(
    ("name", "moving", "blocks", "path"),
    [
        ("mlp", ["head.*"], {"model": {"name": "mlp", "width": 16, "depth": 3, "dropout": 0.3}},
         "dropout1"),
        ("batchnorm", ["batchnorm1.*", "head.*"], {}, "batchnorm1"),
        ("bert", ["head.*"], {"adapt": [
            {"match": "*", "train": False}, {"match": f"{LAYER}.*query*", "lora": {"rank": 2}},
            {"match": "head.*", "train": True}]}, LAYER),
    ],
)  # fmt: skip
def test_the_prefix_ends_at_what_is_random_or_trained(
    name: str, moving: list[str], blocks: dict[str, Any], path: str, folder: Path
) -> None:
    config = config_of(name, folder, moving, **blocks)
    seen = trained(config)
    assert set(seen.cuts) == {path}
    assert apart(trained(config, "off"), seen) < 1e-5


def test_unfreezing_moves_the_cut(folder: Path) -> None:
    config = config_of("bert", folder, ["head.*"])
    config["adapt"].append({"match": f"{LAYER}.*", "train": True, "from_epoch": 1})
    config["train"] |= {"ema": 0.9, "accumulate": 2, "batch_size": 8}
    seen = trained(config)
    steps = len(seen.cuts) // 3
    assert seen.cuts == ["dropout"] * steps + [LAYER] * 2 * steps
    assert apart(trained(config, "off"), seen) < 1e-5


def test_what_cannot_be_stored_is_said_with_on_and_small_work_is_left_alone(folder: Path) -> None:
    config = config_of("mlp", folder, ["layer1.*", "head.*"])
    seen = trained(config)
    assert "nothing frozen" in seen.warnings[0] and set(seen.cuts) == {""}
    config = config_of("mlp", folder, ["head.*"])
    silent: Seen = trained(config, "auto")
    assert set(silent.cuts) == {""} and not silent.warnings
