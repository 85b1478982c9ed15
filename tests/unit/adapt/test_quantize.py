"""Frozen weights in 8 bits: they change, adapters on them learn, files hold plain tensors."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ftune.adapt.edits import replay
from ftune.adapt.freeze import UnfreezeSchedule
from ftune.adapt.merge import folded, merge, unmerge
from ftune.adapt.quantize import (
    base_state_dict,
    is_quantised,
    load_tensors,
    plain_weight,
    quantize_module,
    unpacked,
)
from ftune.adapt.rules import resolve, rule_table
from ftune.adapt.schema import Lora, Rule
from ftune.adapt.targets import edits_of_rules
from ftune.errors import CheckpointError, RequestError

pytest.importorskip("torchao")
pytestmark = pytest.mark.filterwarnings("ignore")
RULES = [Rule("/^[12]$/", quantize="int8", lora=Lora(2, dora=True)), Rule("4", quantize="int8")]


def net() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Embedding(10, 16), nn.Linear(16, 16), nn.Linear(16, 16, bias=False), nn.ReLU(),
        nn.Linear(16, 16), nn.Linear(16, 3),
    )  # fmt: skip


def x() -> Tensor:
    return torch.randint(10, (6, 4), generator=torch.Generator().manual_seed(1))


def quantised(rules: list[Rule] = RULES) -> tuple[Any, dict[str, Any]]:
    model = net()
    edits = edits_of_rules(rules, model, "5")
    replay(model, edits)
    names = [name for name, _ in model.named_parameters()]
    return model, resolve(rules, names, model, "5", edits)


def learn(model: Any, effects: dict[str, Any], steps: int = 30) -> list[float]:
    UnfreezeSchedule(model, effects).enter(0)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.02)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss: Tensor = nn.functional.cross_entropy(model(x()).mean(1), torch.arange(6) % 3)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss))
    return losses


def test_layers_really_change_and_little_is_lost() -> None:
    exact = net()(x())
    model, _ = quantised()
    assert [is_quantised(model[i].weight) for i in (1, 2, 4, 5)] == [True, True, True, False]
    assert model[1].weight.qdata.dtype == torch.int8
    found = model(x())
    assert not torch.equal(found, exact) and torch.allclose(found, exact, atol=0.02)


def test_a_fresh_adapter_is_the_quantised_base() -> None:
    base, model = net(), quantised()[0]
    for index in "124":
        quantize_module(base, index, "int8")
    assert torch.equal(model(x()), base(x()))


def test_adapters_on_them_learn_and_they_stay() -> None:
    model, effects = quantised()
    before = {i: model[i].weight.qdata.clone() for i in (1, 2, 4)}
    losses = learn(model, effects)
    assert losses[-1] < 0.5 * losses[0]
    assert all(torch.equal(model[i].weight.qdata, q) for i, q in before.items())
    assert all(p.grad is not None and p.grad.abs().sum() > 0
               for n, p in model.named_parameters() if ".lora." in n)  # fmt: skip


def test_packed_tensors_come_back_bit_for_bit() -> None:
    model, effects = quantised()
    learn(model, effects, 2)
    stored = base_state_dict(model, packed=True)
    assert stored["1.weight"].dtype == torch.int8 and stored["1.weight_scale"].shape == (16, 1)
    assert all(type(t.detach()) is Tensor for t in stored.values())
    fresh, _ = quantised()
    for parameter in fresh.parameters():
        parameter.data = parameter.data * 0 if not is_quantised(parameter) else parameter.data
    fresh[1].weight.qdata.zero_()
    load_tensors(fresh, copy.deepcopy(stored))
    assert torch.equal(fresh(x()), model(x()))


def test_plain_tensors_are_floats_and_quantise_again_within_half_a_step() -> None:
    model, effects = quantised()
    learn(model, effects, 2)
    stored = base_state_dict(model)
    assert set(stored) == set(model.state_dict())
    assert {t.dtype for t in stored.values()} == {torch.float32}
    fresh, _ = quantised()
    fresh[1].weight.qdata.zero_()
    load_tensors(fresh, stored)
    assert is_quantised(fresh[1].weight)
    step = model[1].weight.scale
    assert ((plain_weight(fresh[1].weight) - stored["1.weight"]).abs() <= 0.51 * step).all()
    assert torch.allclose(fresh(x()), model(x()), atol=0.02)
    plain = net()
    load_tensors(plain, {name: t for name, t in stored.items() if ".lora." not in name})
    assert torch.equal(plain[4].weight, stored["4.weight"])


def test_merging_gives_plain_weights_and_unmerging_the_quantised_ones() -> None:
    model, effects = quantised()
    learn(model, effects, 5)
    model.eval()
    wanted, weight = model(x()), model[1].weight
    merge(model)
    assert not is_quantised(model[1].weight)
    assert torch.allclose(model(x()), wanted, atol=1e-5)
    unmerge(model)
    assert model[1].weight is weight and torch.equal(model(x()), wanted)
    plain, _ = folded(model)
    assert torch.allclose(plain(x()), wanted, atol=1e-5)


def test_the_table_says_so() -> None:
    model, effects = quantised()
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    states = {row[3] for row in rule_table(RULES, effects, sizes)}
    assert {"int8, frozen", "lora r=2 alpha=4 dora, trained"} <= states


@pytest.mark.parametrize(
    ("match", "kind", "message"),
    [
        ("0", "int8", "only 1 Embedding"),
        ("1", "nf4", "nf4 runs on CUDA only and the model is on cpu; use int8"),
        ("5", "int8", "starts from random weights"),
    ],
)
def test_what_cannot_be_quantised(match: str, kind: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        edits_of_rules([Rule(match, quantize=kind)], net(), "5")


def test_shared_weights_are_passed_over() -> None:
    model = net()
    model[2].weight = model[4].weight
    specs = edits_of_rules([Rule("*", quantize="int8")], model, "5")
    assert [spec.module for spec in specs] == ["1"]
    with pytest.raises(RequestError, match="shared with another module"):
        edits_of_rules([Rule("2", quantize="int8")], model, "5")


def test_a_later_rule_cannot_train_them() -> None:
    with pytest.raises(
        RequestError, match=r"`1.weight` is quantised to int8 and cannot be trained"
    ):
        quantised([*RULES, Rule("1.weight", train=True)])


def test_tensors_that_do_not_fit() -> None:
    model, _ = quantised()
    stored = base_state_dict(model)
    del stored["5.bias"]
    stored["odd"], stored["0.weight"] = torch.ones(1), torch.ones(2)
    with pytest.raises(CheckpointError, match=r"missing: 5.bias\n.*odd\n.*shape: 0.weight"):
        load_tensors(model, stored)
    stored = base_state_dict(model)
    del stored["1.weight"]
    with pytest.raises(CheckpointError, match=r"missing: 1.weight"):
        load_tensors(model, stored)


def test_four_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU path of bitsandbytes; users are sent to CUDA, where it is meant to run."""
    pytest.importorskip("bitsandbytes")
    monkeypatch.setattr("ftune.adapt.quantize.why_not_adaptable", lambda *_: None)
    rules = [Rule("1", quantize="int8", lora=Lora(2, dora=True))]
    first, *others = edits_of_rules(rules, net(), "5")
    specs = [replace(first, kind="nf4"), *others]
    model, fresh = net(), net()
    replay(model, specs)
    replay(fresh, specs)
    model[1].lora.default.B.data.normal_()
    load_tensors(fresh, base_state_dict(model, packed=True))
    assert torch.equal(fresh(x()), model(x()))
    load_tensors(fresh, base_state_dict(model))
    assert torch.allclose(fresh(x()), model(x()), atol=1e-3)
    wanted = model(x())
    merge(model)
    assert torch.allclose(model(x()), wanted, atol=1e-5)
    unmerge(model)
    assert torch.equal(model(x()), wanted)
    assert type(folded(model)[0].get_submodule("1")) is nn.Linear


def test_packed_tensors_for_a_model_that_is_not_quantised() -> None:
    model, _ = quantised()
    plain = unpacked(base_state_dict(model, packed=True))
    assert set(plain) == set(model.state_dict())
    assert torch.equal(plain["4.weight"], plain_weight(model[4].weight))
