"""Which parameters the optimizers are given, and which of them Muon may orthogonalise."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.trainings import EVERYTHING, configuration

from ftune.assembly.build import build, read_data, start
from ftune.assembly.parameter_groups import parameter_groups
from ftune.assembly.parts import Parts

MUON: dict[str, Any] = {
    **EVERYTHING,
    "model": {"name": "mlp", "hidden": [8, 6], "norm": "layernorm"},
    "adapt": [],
    "optimizer": {"name": "muon", "lr": 0.02},
    "schedule": "constant",
}


def parts(*changes: str, plain: dict[str, Any] = MUON) -> Parts:
    config = configuration(*changes, plain=plain)
    return build(config, read_data(config))


def test_muon_leaves_the_head_to_adamw() -> None:
    state = start(parts())
    taken = {
        type(optimizer).__name__: {n for group in optimizer.param_groups for n in group["names"]}
        for optimizer in state.optimizers
    }
    everything = {name for name, _ in state.model.named_parameters()}
    assert taken == {
        "Muon": {"layer1.weight", "layer2.weight"},
        "AdamW": everything - {"layer1.weight", "layer2.weight"},
    }
    assert {"head.weight", "head.bias"} <= taken["AdamW"]


def test_one_step_of_the_head_is_torchs_adamw() -> None:
    """Muon's update of a matrix has another size: the head's tells which of the two moved it."""
    state = start(parts())
    head = dict(state.model.named_parameters())["head.weight"]
    before, gradient = head.detach().clone(), torch.linspace(-1, 1, head.numel()).view_as(head)
    rest = [p for p in state.model.parameters() if p is not head]
    for parameter in rest:
        parameter.grad = torch.zeros_like(parameter)
    head.grad = gradient.clone()
    for optimizer in state.optimizers:
        optimizer.step()

    def moved_by(kind: Any, **settings: Any) -> torch.Tensor:
        own = torch.nn.Parameter(before.clone())
        own.grad = gradient.clone()
        kind([own], lr=0.02, weight_decay=0.1, **settings).step()
        return own.detach()

    torch.testing.assert_close(head.detach(), moved_by(torch.optim.AdamW))
    control = moved_by(torch.optim.Muon, adjust_lr_fn="match_rms_adamw")
    assert not torch.allclose(head.detach(), control, atol=1e-4)


def test_muon_leaves_embeddings_to_adamw() -> None:
    built = parts()
    built.model.add_module("table", torch.nn.Embedding(5, 3))
    moves = built.effects["layer1.weight"]
    built.effects = {**built.effects, "table.weight": moves}
    (group,) = parameter_groups(built)
    flags = dict(zip(group.names, group.matrix, strict=True))
    assert {name for name, flag in flags.items() if flag} == {"layer1.weight", "layer2.weight"}
    assert flags["table.weight"] is False


def test_groups_part_by_rate_decay_and_the_epoch_they_begin_in() -> None:
    rules = [
        {"match": "layer1.*", "lr_scale": 0.5},
        {"match": "*.bias", "weight_decay": 0},
        {"match": "layer2.weight", "from_epoch": 2},
        {"match": "layernorm1.*", "train": False},
    ]
    built = parts(plain={**MUON, "adapt": rules})
    groups = parameter_groups(built)
    names = [name for group in groups for name in group.names]
    assert sorted(names) == sorted(
        n for n, _ in built.model.named_parameters() if "layernorm1" not in n
    )
    scale = {n: (g.lr_scale, g.weight_decay) for g in groups for n in g.names}
    expected: dict[str, tuple[float, float | None]] = {
        "layer1.weight": (0.5, None), "layer1.bias": (0.5, 0),
        "head.weight": (1.0, None), "head.bias": (1.0, 0),
    }  # fmt: skip
    assert {name: scale[name] for name in expected} == expected
    assert [g.names for g in groups if "layer2.weight" in g.names] == [("layer2.weight",)]
    for group in groups:
        assert len(group.matrix) == len(group.parameters) == len(group.names)


@pytest.mark.parametrize("muon", [True, False])
def test_the_sum_of_groups_is_what_moves(muon: bool) -> None:
    built = parts(*([] if muon else ["optimizer=sgd"]))
    state = start(built)
    assert {id(p) for p in state.parameters} == {id(p) for p in built.model.parameters()}
