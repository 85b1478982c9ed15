"""Where the weights lie in a file that torch.save wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ftune.errors import CheckpointError
from ftune.runs.base import load_base
from ftune.training.provenance import base_fingerprint


def tensors(value: float) -> dict[str, Any]:
    return {
        "fc.weight": torch.full((2, 3), float(value)),
        "fc.bias": torch.full((2,), float(value)),
    }


def saved(folder: Path, content: object) -> Path:
    torch.save(content, folder / "w.pt")
    return folder / "w.pt"


def adam() -> dict[str, Any]:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return optimizer.state_dict()


@pytest.mark.parametrize(
    "content",
    [
        {"net_g_ema": tensors(1), "iter": 5},
        {"generator": {"ema": tensors(1)}, "step": torch.tensor(5)},
        {"params": tensors(1), "optimizer": adam(), "rng": {"cpu": torch.get_rng_state()}},
        {"model": {"name": "resnet"}, "net_g": tensors(1)},
    ],
)
def test_the_only_weights_are_taken_and_it_is_said(content: Any, tmp_path: Path) -> None:
    base = load_base(saved(tmp_path, content))
    assert torch.equal(base.tensors["fc.weight"], torch.ones(2, 3))
    (note,) = base.notes
    assert "the only ones in the file" in note


@pytest.mark.parametrize("content", [tensors(1), {"state_dict": tensors(1), "optimizer": adam()}])
def test_where_nothing_is_chosen_nothing_is_said(content: Any, tmp_path: Path) -> None:
    assert load_base(saved(tmp_path, content)).notes == ()


def test_a_usual_key_wins_and_the_others_are_named(tmp_path: Path) -> None:
    file = saved(tmp_path, {"state_dict": tensors(1), "ema_state_dict": tensors(2)})
    base = load_base(file)
    assert float(base.tensors["fc.bias"][0]) == 1
    assert f"others lie under `ema_state_dict` (--base {file}:ema_state_dict)" in base.notes[0]


def test_of_several_one_must_be_named(tmp_path: Path) -> None:
    file = saved(tmp_path, {"net_g": tensors(1), "net_d": {"ema": tensors(2)}})
    with pytest.raises(CheckpointError, match=r"2 sets .* `net_g`, `net_d.ema`; name one: --base"):
        load_base(file)
    base = load_base(Path(f"{file}:net_d.ema"))
    assert float(base.tensors["fc.bias"][0]) == 2 and base.names == f"{file}:net_d.ema"
    with pytest.raises(CheckpointError, match="no weights under `net_h`; did you mean `net_"):
        load_base(Path(f"{file}:net_h"))
    prints = {base_fingerprint(f"{file}:{key}") for key in ("net_g", "net_d.ema")}
    assert len(prints) == 2 and prints != {base_fingerprint(str(file))}


def test_only_torch_files_have_keys(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="holds weights under a key"):
        load_base(Path(f"{tmp_path}/w.safetensors:net"))
    with pytest.raises(CheckpointError, match="no such file"):
        load_base(tmp_path / "absent.pt:net")
