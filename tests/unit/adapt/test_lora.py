"""LoRA and DoRA on every kind of module: fresh = base, merged = unmerged, off = gone."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ftune.adapt.attach import activate, detach
from ftune.adapt.edits import Edit, lora_edits, read_edits, replay, write_edits
from ftune.adapt.lora import LoraAdapter
from ftune.adapt.merge import folded, merge, unmerge
from ftune.adapt.schema import Lora
from ftune.errors import CheckpointError, RequestError


class Conv1D(nn.Module):
    """As transformers has it: weight [inputs, outputs]."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(nx, nf)), nn.Parameter(torch.randn(nf))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


KINDS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "linear": (lambda: nn.Linear(5, 7), lambda: torch.randn(2, 3, 5)),
    "linear without bias": (lambda: nn.Linear(5, 7, bias=False), lambda: torch.randn(3, 5)),
    "embedding": (lambda: nn.Embedding(9, 4, padding_idx=0), lambda: torch.randint(9, (3, 5))),
    "transformers' Conv1D": (lambda: Conv1D(7, 5), lambda: torch.randn(3, 5)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2), lambda: torch.randn(2, 4, 9)),
    "conv2d": (
        lambda: nn.Conv2d(4, 6, 3, padding=1, dilation=2), lambda: torch.randn(2, 4, 9, 9)
    ),
    "conv2d in groups": (
        lambda: nn.Conv2d(4, 8, 3, groups=2, padding="same", padding_mode="reflect"),
        lambda: torch.randn(2, 4, 6, 6),
    ),
    "conv2d, one group a channel": (
        lambda: nn.Conv2d(6, 6, 3, groups=6), lambda: torch.randn(2, 6, 6, 6)
    ),
    "conv3d": (lambda: nn.Conv3d(2, 4, 3), lambda: torch.randn(2, 2, 5, 5, 5)),
}  # fmt: skip
WAYS: list[dict[str, Any]] = [{}, {"dora": True}, {"rslora": True, "init": "gaussian"}]


def spec(path: str = "0", name: str = "default", **settings: Any) -> Edit:
    return Edit("lora", path, name, Lora(**{"rank": 2, "name": name, **settings}).settings())


def net(kind: str) -> tuple[Any, Tensor]:
    torch.manual_seed(0)
    build, x = KINDS[kind]
    return nn.Sequential(build()), x()


def disturb(model: nn.Module, scale: float = 0.3) -> None:
    """Adapters as if they had been trained."""
    for module in model.modules():
        if isinstance(module, LoraAdapter):
            for parameter in module.parameters():
                with torch.no_grad():
                    parameter.add_(torch.randn_like(parameter) * scale)
            if module.kind.takes_ids:  # nothing ever moves the column of the padding
                module.A.data[:, 0] = 0


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_fresh_is_base_merged_is_unmerged_and_off_is_gone(kind: str, way: dict[str, Any]) -> None:
    model, x = net(kind)
    base, names = model(x), list(model.state_dict())
    replay(model, [spec(**way)])
    assert torch.equal(model(x), base), "fresh, bit for bit"
    disturb(model)
    adapted, weight = model(x), model[0].weight
    assert not torch.allclose(adapted, base, atol=1e-2), "control: now it differs"
    merge(model)
    assert torch.allclose(model(x), adapted, atol=1e-5, rtol=1e-5)
    assert not torch.equal(model[0].weight, weight)
    unmerge(model)
    assert model[0].weight is weight and torch.equal(model(x), adapted)
    plain, untied = folded(model)
    assert list(plain.state_dict()) == names and untied == []
    assert torch.allclose(plain(x), adapted, atol=1e-5, rtol=1e-5)
    detach(model)
    assert torch.equal(model(x), base) and list(model.state_dict()) == names


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_equal_those_of_a_changed_weight(kind: str) -> None:
    """W + scaling · B · A written out, by autograd, against the adapter's."""
    model, x = net(kind)
    replay(model, [spec()])
    disturb(model)
    adapter = model[0].lora["default"]
    module = copy.deepcopy(model[0])
    detach(nn.Sequential(module))
    a, b = adapter.A.detach().requires_grad_(), adapter.B.detach().requires_grad_()
    matrix = adapter.kind.matrix(module.weight.detach())
    weight = adapter.kind.weight(matrix + 2.0 * b @ a, module.weight)
    wanted = torch.func.functional_call(module, {"weight": weight}, (x,))
    target = torch.randn_like(wanted)
    found = model(x)
    assert torch.allclose(found, wanted, atol=1e-5)
    (wanted * target).sum().backward()
    (found * target).sum().backward()
    assert adapter.A.grad is not None and a.grad is not None
    assert torch.allclose(adapter.A.grad, a.grad, atol=1e-4)
    assert torch.allclose(adapter.B.grad, b.grad, atol=1e-4)


def test_dora_is_its_formula() -> None:
    model, x = net("linear")
    replay(model, [spec(dora=True)])
    disturb(model)
    layer, adapter = model[0], model[0].lora["default"]
    v = layer.weight + 2 * adapter.B @ adapter.A
    weight = adapter.magnitude[:, None] * v / v.norm(dim=1, keepdim=True)
    wanted = nn.functional.linear(x, weight, layer.bias)
    assert torch.allclose(model(x), wanted, atol=1e-5)


def test_dora_with_dropout_drops_the_same_everywhere() -> None:
    model, x = net("linear")
    replay(model, [spec(dora=True, dropout=0.5)])
    disturb(model)
    model.train()
    torch.manual_seed(3)
    found = model(x)
    torch.manual_seed(3)
    dropped = nn.functional.dropout(x, 0.5)
    base = nn.functional.linear(x, model[0].weight, model[0].bias)
    adapter = model[0].lora["default"]
    gain = adapter.magnitude / adapter.row_lengths(model[0].weight)
    plain = nn.functional.linear(dropped, model[0].weight)
    delta = nn.functional.linear(dropped, adapter.B @ adapter.A) * 2
    assert torch.allclose(found, base + (gain - 1) * plain + gain * delta, atol=1e-5)


def test_dropout_follows_the_mode() -> None:
    model, x = net("linear")
    replay(model, [spec(dropout=0.5)])
    disturb(model)
    model.train()
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_scaling(way: dict[str, Any]) -> None:
    model, _ = net("linear")
    replay(model, [spec(rank=4, alpha=6.0, **way)])
    assert model[0].lora["default"].scaling == (3.0 if way.get("rslora") else 1.5)
    assert Lora(rank=4).settings()["alpha"] == 8 and Lora(rslora=True).settings()["alpha"] == 16


def test_several_add_up_or_are_chosen() -> None:
    model, x = net("linear")
    base = model(x)
    replay(model, [spec(name="one"), spec(name="two", rank=3, dora=True)])
    disturb(model)
    both = model(x)
    activate(model, ["one"])
    one = model(x)
    activate(model, ["two"])
    two = model(x)
    assert torch.allclose(both - base, (one - base) + (two - base), atol=1e-5)
    assert not torch.allclose(one, two, atol=1e-2)
    activate(model, ["one", "two"])
    merge(model)
    assert torch.allclose(model(x), both, atol=1e-5)
    activate(model, [])
    unmerge(model)
    assert torch.equal(model(x), base)
    with pytest.raises(RequestError, match="no adapter `three`; there are: one, two"):
        activate(model, ["three"])


def test_specifications_survive_json_and_attach_again() -> None:
    import json

    model, x = net("conv2d")
    replay(model, [spec(dora=True), spec(name="two", rslora=True)])
    disturb(model)
    stored = read_edits(json.loads(json.dumps(write_edits(lora_edits(model)))))
    fresh, _ = net("conv2d")
    replay(fresh, stored)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(x), model(x))
    replay(fresh, stored)
    assert torch.equal(fresh(x), model(x)), "what is there already stays"
    with pytest.raises(CheckpointError, match=r"damaged: no `adapters\.0\.module`"):
        read_edits({"adapters": [{"kind": "lora"}]})


def test_another_adapter_of_the_same_name_is_refused() -> None:
    model, _ = net("linear")
    replay(model, [spec()])
    with pytest.raises(RequestError, match=r"has an adapter `default` already, with rank=2.*name"):
        replay(model, [spec(rank=3)])
    with pytest.raises(RequestError, match="no module `1`"):
        replay(model, [spec("1")])


def test_a_module_with_a_child_called_lora_is_refused() -> None:
    model, _ = net("linear")
    model[0].lora = 3
    with pytest.raises(RequestError, match="attribute `lora` of its own"):
        replay(model, [spec()])


def test_copies_and_pickles_are_independent() -> None:
    model, x = net("linear")
    replay(model, [spec(dora=True)])
    disturb(model)
    twin = copy.deepcopy(model)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)
    before = model(x)
    assert torch.equal(twin(x), before) and torch.equal(again(x), before)
    disturb(twin)
    assert torch.equal(model(x), before) and not torch.equal(twin(x), before)


def tied() -> Any:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9, bias=False))
    model[1].weight = model[0].weight
    return model


@pytest.mark.parametrize("path", ["0", "1"])
def test_a_shared_weight_is_untied_by_merging_and_tied_again(path: str) -> None:
    model, x = tied(), torch.randint(9, (3, 5))
    replay(model, [spec(path)])
    disturb(model)
    adapted = model(x)
    assert merge(model) == [path]
    assert model[0].weight is not model[1].weight
    assert torch.allclose(model(x), adapted, atol=1e-5)
    unmerge(model)
    assert model[0].weight is model[1].weight and torch.equal(model(x), adapted)


def test_control_merging_into_the_shared_weight_would_be_wrong() -> None:
    model, x = tied(), torch.randint(9, (3, 5))
    replay(model, [spec("0")])
    disturb(model)
    adapted = model(x)
    merge(model)
    model[1].weight = model[0].weight
    assert not torch.allclose(model(x), adapted, atol=1e-2)


def test_half_precision_is_adapted_in_float32() -> None:
    model, x = net("linear")
    model = model.to(torch.bfloat16)
    replay(model, [spec()])
    assert model[0].lora["default"].A.dtype == torch.float32
    disturb(model)
    y = model(x.to(torch.bfloat16))
    assert y.dtype == torch.bfloat16
    merge(model)
    assert model[0].weight.dtype == torch.bfloat16
    assert torch.allclose(model(x.to(torch.bfloat16)), y, atol=0.1)


def test_autocast() -> None:
    model, x = net("linear")
    replay(model, [spec(dora=True)])
    disturb(model)
    exact = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        y = model(x)
    assert y.dtype == torch.bfloat16 and torch.allclose(y.float(), exact, atol=0.1)
    y.float().sum().backward()
    assert all(p.grad is not None for p in model[0].lora.parameters())


def test_keyword_arguments_reach_the_adapter() -> None:
    model, x = net("linear")
    replay(model, [spec()])
    disturb(model)
    assert torch.equal(model[0](input=x), model(x))


@pytest.mark.parametrize("merged", [True, False])
def test_torch_export(merged: bool) -> None:
    model, x = net("conv2d")
    replay(model, [spec(dora=True)])
    disturb(model)
    plain = folded(model)[0] if merged else model.eval()
    program = torch.export.export(plain, (x,)).module()
    assert torch.allclose(program(x), model(x), atol=1e-5)


def test_vmap_over_adapted_copies() -> None:
    """The population's way: members stacked, each with its own adapters."""
    members = []
    for seed in range(3):
        model, x = net("linear")
        replay(model, [spec()])
        torch.manual_seed(seed)
        disturb(model)
        members.append(model)
    weights, buffers = torch.func.stack_module_state(members)

    def call(own: dict[str, Tensor], rest: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(members[0], (own, rest), (x,))  # type: ignore[no-any-return]

    found = torch.vmap(call)(weights, buffers)
    for one, member in zip(found, members, strict=True):
        assert torch.allclose(one, member(x), atol=1e-6)
