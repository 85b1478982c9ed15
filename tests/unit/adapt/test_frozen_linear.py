"""Frozen weights in autocast's type: stored so, or cast once beside weights that stay whole."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ftune.adapt.edits import replay
from ftune.adapt.freeze import UnfreezeSchedule
from ftune.adapt.frozen_linear import FrozenLinear, precompute_casts
from ftune.adapt.merge import folded
from ftune.adapt.quantize import base_state_dict, is_quantised, load_tensors, plain_weight
from ftune.adapt.rules import resolve
from ftune.adapt.schema import Lora, Rule
from ftune.adapt.targets import edits_of_rules
from ftune.errors import CheckpointError, RequestError


def net() -> Any:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Embedding(10, 16), nn.Linear(16, 16), nn.Linear(16, 16, bias=False), nn.ReLU(),
        nn.Linear(16, 10),
    )  # fmt: skip
    model[4].weight = model[0].weight
    return model


def x() -> Tensor:
    return torch.randint(10, (6, 4), generator=torch.Generator().manual_seed(1))


def with_rules(*rules: Rule) -> tuple[Any, dict[str, Any]]:
    model = net()
    edits = edits_of_rules(list(rules), model)
    replay(model, edits)
    names = [name for name, _ in model.named_parameters()]
    return model, resolve(list(rules), names, model, "", edits)


def loss_and_gradients(model: Any) -> list[Tensor]:
    with torch.autocast("cpu", torch.bfloat16):
        loss = nn.functional.cross_entropy(model(x()).flatten(0, 1), x().flatten())
    trained = [p for p in model.parameters() if p.requires_grad]
    return [loss, *torch.autograd.grad(loss, trained)]


def frozen_but_adapters(model: Any, effects: dict[str, Any]) -> frozenset[str]:
    UnfreezeSchedule(model, effects).enter(0)
    names = dict(model.named_parameters(remove_duplicate=False))
    return frozenset(name for name, p in names.items() if not p.requires_grad)


def test_casts_made_once_change_no_bit() -> None:
    model, effects = with_rules(Rule("/^[12]$/", lora=Lora(2, init="gaussian")))
    with torch.no_grad():
        model[1].lora.default.B.fill_(0.1)
    frozen = frozen_but_adapters(model, effects)
    other, outputs = copy.deepcopy(model), model(x())
    precompute_casts(other, frozen, torch.bfloat16)
    assert [type(other[i]) for i in (1, 2, 4)] == [FrozenLinear] * 3
    assert list(other.state_dict()) == list(model.state_dict())
    pairs = list(zip(loss_and_gradients(model), loss_and_gradients(other), strict=True))
    assert len(pairs) == 5 and all(torch.equal(a, b) for a, b in pairs)
    assert torch.equal(other(x()), outputs)  # evaluations compute with the whole weights
    other[2].computed += 1e-2  # the control: the copy is what autocast computes with
    assert not torch.equal(loss_and_gradients(model)[0], loss_and_gradients(other)[0])


def test_only_what_is_never_trained_gets_a_cast() -> None:
    model = net()
    precompute_casts(model, {"1.weight"}, torch.bfloat16)
    assert [type(model[i]) for i in (1, 2, 4)] == [FrozenLinear, nn.Linear, nn.Linear]


def test_a_tied_weight_is_cast_once_and_its_embedding_left_alone() -> None:
    model = net()
    model.append(nn.Linear(16, 10))
    model[5].weight = model[0].weight
    precompute_casts(model, {"0.weight", "4.weight", "5.weight"}, torch.bfloat16)
    assert model[4].computed is model[5].computed
    assert model[0].weight is model[4].weight and model[0].weight.dtype is torch.float32


BF16 = (Rule("/^[12]$/", quantize="bf16", lora=Lora(2)),)


def test_stored_weights_are_rounded_and_take_half_the_memory() -> None:
    model, effects = with_rules(*BF16)
    rounded = net()
    for index in (1, 2):
        weight = rounded[index].weight
        weight.data = weight.data.bfloat16().float()
    assert not torch.equal(model(x()), net()(x()))
    assert torch.equal(model(x()), rounded(x()))
    assert model[1].weight.nbytes * 2 == net()[1].weight.nbytes
    frozen_but_adapters(model, effects)
    assert {n.split(".")[1] for n, p in model.named_parameters() if p.requires_grad} == {"lora"}
    with torch.autocast("cpu", torch.bfloat16):  # autocast uses them as they are
        assert model[1](torch.ones(2, 16)).dtype is torch.bfloat16


def test_files_hold_sixteen_bits_or_plain_numbers() -> None:
    model, _ = with_rules(*BF16)
    packed, plain = base_state_dict(model, packed=True), base_state_dict(model)
    assert packed["1.weight"].dtype is torch.bfloat16 and plain["1.weight"].dtype is torch.float32
    for tensors in (packed, plain):
        other = with_rules(*BF16)[0]
        with torch.no_grad():
            other[1].weight.zero_()
        load_tensors(other, tensors)
        assert is_quantised(other[1].weight) and torch.equal(other(x()), model(x()))
    with pytest.raises(CheckpointError, match=r"of another shape: 1\.weight"):
        load_tensors(model, packed | {"1.weight": torch.zeros(16, 1)})


def test_merged_adapters_are_not_rounded() -> None:
    model, _ = with_rules(*BF16)
    with torch.no_grad():
        model[1].lora.default.B.fill_(1e-4)
    weight = plain_weight(model[1].weight) + model[1].lora.default.change(model[1].weight.float())
    merged: Any = folded(model)[0]
    assert torch.equal(merged[1].weight, weight)
    assert torch.allclose(merged(x()), model(x()), atol=1e-6)


def test_training_them_is_refused() -> None:
    with pytest.raises(RequestError, match="quantised to bf16 and cannot be trained"):
        with_rules(Rule("1", quantize="bf16"), Rule("1.weight", train=True))
