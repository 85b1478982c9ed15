"""8-bit weights from and into files: by value, under plain names, inside PEFT's wrappers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ftune.adapt.edits import Edit, replay
from ftune.adapt.merge import merge, unmerge
from ftune.adapt.quantize import (
    base_state_dict,
    is_quantised,
    keep_packed,
    load_tensors,
    quantize_module,
    unpacked,
    why_not_adaptable,
)
from ftune.adapt.rules import resolve
from ftune.adapt.schema import Rule
from ftune.adapt.targets import edits_of_rules
from ftune.errors import CheckpointError, MissingExtraError, RequestError

pytest.importorskip("torchao")
pytestmark = pytest.mark.filterwarnings("ignore")
CLOSE: dict[str, Any] = {"atol": 1e-4, "rtol": 1e-3}
"""bitsandbytes holds the magnitudes of blocks in 8 bits themselves."""


def net(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return nn.ModuleDict({name: nn.Linear(6, 6, dtype=torch.float32) for name in "abc"})


def quantised(seed: int = 0, *names: str) -> Any:
    model = net(seed)
    for name in names or "ab":
        quantize_module(model, name, "int8")
    return model


def test_values_are_symmetric_steps_of_one_scale_an_output() -> None:
    """Written out: scale = max |w| / 127 of a row, values round(w / scale)."""
    weight, model = net().a.weight.detach(), quantised()
    scale = weight.abs().amax(1, keepdim=True) / 127
    stored = base_state_dict(model, packed=True)
    torch.testing.assert_close(stored["a.weight_scale"], scale, rtol=0.02, atol=0)
    error = stored["a.weight"].float() * stored["a.weight_scale"] - weight
    assert (error.abs() <= 0.51 * stored["a.weight_scale"] + 1e-7).all()
    torch.testing.assert_close(base_state_dict(model)["a.weight"], weight + error)
    assert torch.equal(unpacked(stored)["a.weight"], weight + error)
    assert not any(t.requires_grad for t in base_state_dict(model).values())


def test_only_what_is_asked_for_and_frozen() -> None:
    model = quantised()
    assert [is_quantised(model[name].weight) for name in "abc"] == [True, True, False]
    assert [p.requires_grad for p in (model.a.weight, model.c.weight)] == [False, True]
    assert not is_quantised(None)
    weight = model.a.weight
    quantize_module(model, "a", "int8")
    assert model.a.weight is weight, "twice is once"
    with pytest.raises(RequestError, match=r"`d` to adapt"):
        quantize_module(model, "d", "int8")
    with pytest.raises(RequestError, match="`0` cannot be quantised to int8: ReLU is no linear"):
        quantize_module(nn.Sequential(nn.ReLU()), "0", "int8")


def test_without_the_library_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"ftune\[compress\]"):
        quantize_module(net(), "a", "int8")
    monkeypatch.setattr("ftune.adapt.quantize.why_not_adaptable", lambda *_: None)
    with pytest.raises(RequestError, match="nf4 needs bitsandbytes: pip install bitsandbytes"):
        quantize_module(net(), "a", "nf4")


def test_containers_share_nothing_with_what_they_hold() -> None:
    model = nn.ModuleDict({"block": net(), "twice": nn.ModuleDict({"in": net()})})
    specs = edits_of_rules([Rule("*", quantize="int8")], model)
    assert [spec.module for spec in specs] == [
        *(f"block.{name}" for name in "abc"), *(f"twice.in.{name}" for name in "abc")
    ]  # fmt: skip


def test_what_stands_in_the_way() -> None:
    linear = nn.Linear(2, 2)
    computed = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    assert why_not_adaptable(linear, "int8") is None and why_not_adaptable(
        linear, "int8", shared=True
    )
    assert why_not_adaptable(computed, "int8") == "ParametrizedLinear is no linear layer"
    assert "model is on cpu; use int8" in (why_not_adaptable(linear, "nf4") or "")


def test_a_base_in_8_bits_is_kept_to_the_bit_under_wrappers_too() -> None:
    """Dequantised and quantised anew, as a float is, they move."""
    pytest.importorskip("peft")
    base = quantised(seed=1)
    stored = base_state_dict(base, packed=True)
    model = quantised(seed=2)
    wrapper: Any = nn.Module()
    wrapper.base_layer = model.a
    model["a"] = wrapper
    assert "a.base_layer.weight" in model.state_dict()
    keep_packed(model, {name: t for name, t in stored.items() if name != "b.weight_scale"})
    kept = base_state_dict(model, packed=True)
    assert torch.equal(kept["a.weight"], stored["a.weight"])
    assert torch.equal(kept["a.weight_scale"], stored["a.weight_scale"])
    fresh = base_state_dict(quantised(seed=2), packed=True)
    assert torch.equal(kept["b.weight"], fresh["b.weight"]), "without its scale it says nothing"
    assert torch.equal(kept["c.weight"], fresh["c.weight"])


def test_files_come_back_inside_wrappers() -> None:
    stored = base_state_dict(quantised(seed=1), packed=True)
    model = quantised(seed=2)
    wrapper: Any = nn.Module()
    wrapper.base_layer = model.a
    model["a"] = wrapper
    load_tensors(model, stored)
    again = base_state_dict(model, packed=True)
    assert set(again) == set(stored)
    assert all(torch.equal(again[name], tensor) for name, tensor in stored.items())
    load_tensors(model, unpacked(stored))
    for name, tensor in base_state_dict(model).items():
        torch.testing.assert_close(tensor, unpacked(stored)[name], atol=0.01, rtol=0)


def test_integers_of_another_shape_are_said() -> None:
    stored = base_state_dict(quantised(), packed=True)
    for shape in ((5, 6), (36,)):
        with pytest.raises(CheckpointError, match=r"of another shape: a.weight$"):
            load_tensors(quantised(), stored | {"a.weight": torch.zeros(shape, dtype=torch.int8)})


def test_a_plain_model_takes_packed_files_unpacked() -> None:
    stored = base_state_dict(quantised(seed=1), packed=True)
    with pytest.raises(CheckpointError, match=r"(?m)^  missing"):
        load_tensors(net(), {k: t for k, t in stored.items() if k.startswith("a")})
    with pytest.raises(CheckpointError, match=r"unexpected: a.weight_scale, b.weight_scale"):
        load_tensors(net(), stored)
    model = net()
    load_tensors(model, unpacked(stored))
    assert torch.equal(model.a.weight, unpacked(stored)["a.weight"])
    scaled: dict[str, Tensor] = {"x": torch.ones(2), "x_scale": torch.ones(3)}
    assert set(unpacked(scaled)) == {"x", "x_scale"}, "a scale of no 8-bit weight is a tensor"


def test_what_does_not_fit_is_listed_up_to_eight() -> None:
    names = "abcdefghi"
    model = nn.ModuleDict({name: nn.Linear(1, 1, bias=False) for name in names})
    first = ", ".join(f"{name}.weight" for name in names[:8])
    stored = {f"{name}.weight": torch.ones(2, 2) for name in names}
    with pytest.raises(CheckpointError) as caught:
        load_tensors(model, stored)
    said = "the stored tensors do not fit the model:\n  of another shape: "
    assert str(caught.value) == f"{said}{first} … (9 in all)"
    del model["i"]
    with pytest.raises(CheckpointError) as caught:
        load_tensors(model, {f"{name}.weight": torch.ones(2, 2) for name in names[:8]})
    assert str(caught.value) == said + first


def test_each_rule_says_what_it_quantised_whatever_their_order() -> None:
    rules = [Rule(name, quantize="int8") for name in "cab"]
    model = net()
    replay(model, edits_of_rules(rules[:2], model))
    model["d"] = nn.Linear(6, 2)
    effects = resolve(rules, [name for name, _ in model.named_parameters()], model)
    found = {name: (e.rule, e.train, e.adapter) for name, e in effects.items()}
    assert found["c.weight"] == (0, False, "int8") and found["a.weight"] == (1, False, "int8")
    assert found["b.weight"] == (None, True, ""), "what is not quantised is as it was"
    assert found["a.bias"] == (None, True, "")


def test_quantised_first_and_adapted_then_whatever_the_order() -> None:
    model = net()
    specs = [Edit("lora", "a", settings={"rank": 2, "alpha": 4.0, "dora": True}),
             Edit("int8", "a", "int8")]  # fmt: skip
    replay(model, specs)
    lengths = base_state_dict(model)["a.weight"].norm(dim=1)
    torch.testing.assert_close(model.a.lora.default.magnitude.detach(), lengths)
    assert not torch.allclose(lengths, net().a.weight.norm(dim=1), rtol=1e-5), "the control"


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """bitsandbytes, on its CPU path; users are sent to CUDA."""
    found = pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    monkeypatch.setattr("ftune.adapt.quantize.why_not_adaptable", lambda *_: None)
    return found


def wide(bias: bool = True) -> Any:
    torch.manual_seed(0)
    return nn.ModuleDict({"a": nn.ModuleDict({"b": nn.Linear(128, 64, bias=bias)})})


@pytest.mark.parametrize("bias", [True, False])
def test_four_bits_are_the_quantiles_of_qlora(bias: bool, on_cpu: Any) -> None:
    """Blocks of 64 by their largest magnitude, each value the nearest of bitsandbytes' sixteen."""
    model, plain = wide(bias), wide(bias)
    quantize_module(model, "a.b", "nf4")
    layer, weight = model["a"]["b"], plain["a"]["b"].weight.detach()
    assert type(layer) is on_cpu.nn.Linear4bit and is_quantised(layer.weight)
    assert (layer.in_features, layer.out_features) == (128, 64)
    assert not layer.weight.requires_grad and layer.weight.data.numel() == weight.numel() // 2
    assert (layer.bias is None) is not bias and layer.compute_dtype == torch.float32
    if bias:
        assert torch.equal(layer.bias, plain["a"]["b"].bias)
    blocks = weight.reshape(-1, 64)
    largest = blocks.abs().amax(1, keepdim=True)
    code = on_cpu.functional.get_4bit_type("nf4", device="cpu")
    nearest = code[(blocks / largest)[..., None].sub(code).abs().argmin(-1)] * largest
    stored = base_state_dict(model)
    torch.testing.assert_close(stored["a.b.weight"], nearest.reshape(weight.shape), **CLOSE)
    assert set(stored) == set(plain.state_dict())
    x = torch.randn(3, 128)
    torch.testing.assert_close(
        layer(x), nn.functional.linear(x, stored["a.b.weight"], layer.bias), atol=1e-5, rtol=1e-4
    )


@pytest.mark.usefixtures("on_cpu")
def test_four_bits_to_files_and_back() -> None:
    model, other = wide(), wide()
    other["a"]["b"].weight.data.mul_(2)
    for one in (model, other):
        quantize_module(one, "a.b", "nf4")
    packed, plain = base_state_dict(other, packed=True), base_state_dict(other)
    assert packed["a.b.weight"].dtype == torch.uint8 and any(
        name.startswith("a.b.weight.") for name in packed
    )
    load_tensors(model, dict(packed))
    again = base_state_dict(model, packed=True)
    assert set(again) == set(packed)
    assert all(torch.equal(again[name], tensor) for name, tensor in packed.items())
    assert torch.equal(base_state_dict(model)["a.b.weight"], plain["a.b.weight"])
    fresh = wide()
    quantize_module(fresh, "a.b", "nf4")
    load_tensors(fresh, plain)
    assert is_quantised(fresh["a"]["b"].weight) and not fresh["a"]["b"].weight.requires_grad
    torch.testing.assert_close(base_state_dict(fresh)["a.b.weight"], plain["a.b.weight"], **CLOSE)


def test_four_bits_are_merged_into_a_plain_layer_and_back(on_cpu: Any) -> None:
    model, x = wide(), torch.randn(3, 128)
    replay(model, [Edit("nf4", "a.b", "nf4"),
                   Edit("lora", "a.b", settings={"rank": 2, "alpha": 4.0})])  # fmt: skip
    layer = model["a"]["b"]
    with torch.no_grad():
        layer.lora["default"].B.normal_()
    wanted, base = layer(x), base_state_dict(model)["a.b.weight"]
    adapter = layer.lora["default"]
    merge(model)
    assert type(layer) is nn.Linear
    torch.testing.assert_close(layer.weight.data, base + 2 * (adapter.B @ adapter.A).detach())
    torch.testing.assert_close(layer(x), wanted, atol=1e-4, rtol=1e-4)
    unmerge(model)
    assert type(layer) is on_cpu.nn.Linear4bit and torch.equal(layer(x), wanted)
