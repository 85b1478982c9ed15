"""What adapters begin with, where they sit, what is said where there is none, and how they go."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ftune.adapt.attach import activate, detach
from ftune.adapt.edits import Edit, lora_edits, replay, write_edits
from ftune.adapt.lora import adapted_modules
from ftune.adapt.merge import folded, merge, unmerge
from ftune.adapt.names import find_module, parents
from ftune.adapt.rules import resolve, rule_table
from ftune.adapt.schema import Lora, Rule
from ftune.adapt.targets import edits_of_rules
from ftune.errors import CheckpointError, RequestError


def lora(path: str, name: str = "default", **settings: Any) -> Edit:
    return Edit("lora", path, name, Lora(**{"rank": 4, "name": name, **settings}).settings())


def net() -> Any:
    torch.manual_seed(0)
    return nn.ModuleDict({"up": nn.Linear(400, 200), "down": nn.Linear(200, 3)})


def test_first_values_are_as_documented() -> None:
    """Uniform within 1/√inputs, or normal of deviation 1/rank; B is 0; on an embedding turned."""
    model = net()
    model["embed"] = nn.Embedding(500, 40)
    replay(model, [lora("up"), lora("up", "normal", init="gaussian"), lora("embed", rank=8)])
    model.requires_grad_(False)
    uniform, normal = model.up.lora["default"], model.up.lora["normal"]
    bound = 1 / math.sqrt(400)
    assert 0.98 * bound < float(uniform.A.abs().max()) <= bound
    assert float(uniform.A.std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert float(normal.A.std()) == pytest.approx(1 / 4, rel=0.05)
    assert float(normal.A.abs().max()) > 2.5 / 4
    assert not uniform.B.any() and not normal.B.any()
    rows = model.embed.lora["default"]
    assert not rows.A.any() and float(rows.B.std()) == pytest.approx(1, rel=0.1)
    assert rows.A.shape == (8, 500) and rows.B.shape == (40, 8)


def test_settings_listed_are_a_copy() -> None:
    model = net()
    replay(model, [lora("up")])
    lora_edits(model)[0].settings["rank"] = 9  # type: ignore[index]
    assert lora_edits(model) == [lora("up")]
    write_edits(lora_edits(model))["adapters"][0]["settings"]["rank"] = 9
    assert write_edits(lora_edits(model))["adapters"] == [
        {"kind": "lora", "module": "up", "name": "default", "settings": Lora(4).settings()}
    ]


def test_hooks_of_others_stay_when_adapters_go() -> None:
    model, x, calls = net(), torch.randn(2, 400), []
    base = model.up(x)
    model.up.register_forward_hook(lambda *_: calls.append("before"))
    replay(model, [lora("up"), lora("down")])
    model.up.register_forward_hook(lambda *_: calls.append("after"))
    with torch.no_grad():
        model.up.lora["default"].B.normal_()
    assert not torch.equal(model.up(x), base)
    detach(model)
    calls.clear()
    assert torch.equal(model.up(x), base) and calls == ["before", "after"]
    assert not model.down._forward_hooks and not model.up._forward_hooks_with_kwargs
    assert adapted_modules(model) == {}
    replay(model, [lora("up")])
    assert torch.equal(model.up(x), base)


def test_nothing_adaptable_is_said_with_its_reason() -> None:
    with pytest.raises(CheckpointError, match=r"no way to adapt `0`: ReLU has no matrix"):
        replay(nn.Sequential(nn.ReLU()), [lora("0")])
    with pytest.raises(RequestError, match=r"there are: $"):
        activate(net(), ["one"])


class Wrapper(nn.Module):
    """As PEFT's: what it wraps lies under base_layer."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.base_layer, self.extra = inner, nn.Linear(2, 2)


def test_modules_are_found_inside_wrappers_by_their_plain_paths() -> None:
    leaf = nn.Linear(4, 4)
    block = nn.ModuleDict({"leaf": Wrapper(Wrapper(leaf)), "other": nn.ReLU()})
    model = nn.ModuleDict({"block": Wrapper(block)})
    assert find_module(model, "block.leaf") is leaf
    assert find_module(model, "block") is block
    assert find_module(model, "block.other") is block["other"]
    assert find_module(model, "block.extra") is model["block"].extra
    replay(model, [lora("block.leaf")])
    assert list(adapted_modules(model)) == ["block.leaf"]
    assert [spec.module for spec in lora_edits(model)] == ["block.leaf"]
    with pytest.raises(RequestError, match=r"`block.laef` to adapt; the nearest is `block.leaf`"):
        find_module(model, "block.laef")
    with pytest.raises(RequestError, match=r"`zzzzzzzz` to adapt$"):
        find_module(model, "zzzzzzzz")
    assert parents("a.b.c") == ["a.b", "a"] and parents("a") == []


@pytest.mark.filterwarnings("ignore:Unmerge result")
@pytest.mark.parametrize("first", ["lora", "peft"])
@pytest.mark.parametrize("kind", ["ia3", "oft", "loha"])
def test_beside_a_method_of_peft_on_one_module(kind: str, first: str) -> None:
    """PEFT's wrapper scales or turns what LoRA has added: merged, LoRA has to come first."""
    pytest.importorskip("peft")
    model, x = net(), torch.randn(2, 400)
    own = {"ia3": {}, "oft": {"oft_block_size": 20}, "loha": {"r": 2}}[kind]
    both = [lora("up"), Edit("peft", "", "one", {"type": kind, "targets": ["up"], **own})]
    for spec in both if first == "lora" else reversed(both):
        replay(model, [spec])
    assert [spec.module for spec in lora_edits(model)] == ["up"]
    with torch.no_grad():
        for name, parameter in model.up.named_parameters():
            if name not in ("base_layer.weight", "base_layer.bias"):
                parameter.add_(torch.randn_like(parameter) * 0.3)
    wanted = model.eval().up(x)
    plain: Any = folded(model)[0]
    assert type(plain.up) is nn.Linear and list(plain.state_dict()) == list(net().state_dict())
    torch.testing.assert_close(plain.up(x), wanted, atol=1e-3, rtol=1e-3)
    merge(model)
    torch.testing.assert_close(model.up(x), wanted, atol=1e-3, rtol=1e-3)
    unmerge(model)
    assert torch.equal(model.up(x), wanted)


def test_a_method_of_peft_without_its_module_is_refused() -> None:
    pytest.importorskip("peft")
    with pytest.raises(RequestError, match="no module `side` to adapt"):
        replay(net(), [Edit("peft", "", "two", {"type": "ia3", "targets": ["side"]})])


def test_settings_given_may_change_afterwards() -> None:
    pytest.importorskip("peft")
    model, settings = net(), {"type": "lora", "r": 2, "targets": ["up"]}
    spec = Edit("peft", "", "one", settings)
    replay(model, [spec])
    settings["r"] = 3
    with pytest.raises(RequestError, match="has a PEFT adapter `one` already"):
        replay(model, [spec])


def adapted(*rules: Rule) -> tuple[Any, dict[str, Any]]:
    model = net()
    edits = edits_of_rules(rules, model)
    replay(model, edits)
    names = [name for name, _ in model.named_parameters()]
    return model, resolve(rules, names, model, edits=edits)


def test_each_adapter_has_the_rule_that_made_it() -> None:
    """And what a rule freezes it freezes on its own modules only."""
    rules = [Rule("up", lora=Lora(2, bias=True)), Rule("down", lora=Lora(3))]
    _, effects = adapted(*rules)
    assert {name: (e.rule, e.train) for name, e in effects.items()} == {
        "up.weight": (0, False), "up.bias": (0, True),
        "up.lora.default.A": (0, True), "up.lora.default.B": (0, True),
        "down.weight": (1, False), "down.bias": (1, False),
        "down.lora.default.A": (1, True), "down.lora.default.B": (1, True),
    }  # fmt: skip
    assert effects["down.lora.default.B"].state == "lora r=3 alpha=6, trained"


def test_methods_of_peft_have_the_rules_that_made_them() -> None:
    pytest.importorskip("peft")
    rules = [
        Rule("up", peft={"type": "ia3", "name": "one"}, lr_scale=2.0),
        Rule("down", peft={"type": "loha", "name": "two", "r": 2}, weight_decay=0.5),
    ]
    _, effects = adapted(*rules)
    states = {effect.rule: effect.state for name, effect in effects.items() if "_layer" not in name}
    assert states[0] == "peft ia3, trained, lr ×2"
    assert states[1] == "peft loha, trained, weight decay 0.5"


def test_saved_modules_reach_all_that_is_below_and_no_adapter() -> None:
    _, effects = adapted(Rule("up", lora=Lora(2, modules_to_save=["down", "u*"])))
    trained = {name for name, effect in effects.items() if effect.train}
    assert trained == {"up.weight", "up.bias", "down.weight", "down.bias",
                       "up.lora.default.A", "up.lora.default.B"}  # fmt: skip
    with pytest.raises(RequestError, match=r"parameters; modules: down, up$"):
        adapted(Rule("up", lora=Lora(2, modules_to_save=["zzzzzz"])))


@pytest.mark.parametrize(
    ("count", "end"), [(12, "p11"), (13, "p11, … (13 in all; `ftune model` lists them)")]
)
def test_names_are_listed_up_to_twelve(count: int, end: str) -> None:
    names = [f"p{i}" for i in range(count)]
    with pytest.raises(RequestError) as caught:
        resolve([Rule("zzzzzzzz", train=True)], names)
    assert str(caught.value).endswith(f"; parameters: {', '.join(names[:11])}, {end}")
    model = nn.ModuleDict({name: nn.Linear(1, 1) for name in names})
    with pytest.raises(RequestError) as caught:
        edits_of_rules([Rule("zzzzzzzz", lora=Lora(2))], model)
    assert str(caught.value).endswith(f"; modules: {', '.join(names[:11])}, {end}")


class Odd(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


def test_what_is_there_instead_of_targets_is_counted() -> None:
    kinds = [nn.ReLU, nn.Tanh, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Identity, Odd]
    model = nn.ModuleDict({f"m{i}{j}": kinds[i]() for i in range(7) for j in range(7 - i)})
    model["norm"] = nn.LayerNorm(2)
    listed = "7 ReLU, 6 Tanh, 5 GELU, 4 SiLU, 3 Sigmoid, 2 Identity"
    said = f"adapt.0.match: `m*` matches nothing that can be %s, only {listed} (m00: ReLU "
    for rule, what, wanted in (
        (Rule("m*", lora=Lora(2)), "adapted", "Linear, Conv1d/2d/3d, Embedding or Conv1D"),
        (Rule("m*", quantize="int8"), "quantised", "nn.Linear"),
    ):
        with pytest.raises(RequestError) as caught:
            edits_of_rules([rule], model)
        assert str(caught.value).startswith(said % what)
        assert str(caught.value).endswith(f"; wanted: {wanted}")


def test_a_reason_is_that_of_the_first_that_has_one() -> None:
    """Containers have none: their children are what is adapted."""
    model = nn.ModuleDict({"a": nn.ModuleDict({"b": nn.LayerNorm(2)})})
    with pytest.raises(RequestError, match=r"only 1 ModuleDict, 1 LayerNorm \(a.b: LayerNorm has"):
        edits_of_rules([Rule("*", lora=Lora(2))], model)
    with pytest.raises(RequestError, match=r"only 1 ModuleDict; wanted"):
        edits_of_rules([Rule("a", lora=Lora(2))], model)
    with pytest.raises(RequestError, match=r"only 1 ReLU; wanted: Linear"):
        edits_of_rules([Rule("0", peft={"type": "ia3"})], nn.Sequential(nn.ReLU()))


def test_the_table_has_the_span_of_depths() -> None:
    rules = [Rule("*", layer_decay=0.5)]
    model = nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(3)))
    names = [name for name, _ in model.named_parameters()]
    rows = rule_table(rules, resolve(rules, names, model), dict.fromkeys(names, 4))
    assert rows == [("*", 3, 12, "trained, by depth ×0.25 … ×1")]
    plain = [Rule("*", lr_scale=3.0)]
    assert rule_table(plain, resolve(plain, names, model), dict.fromkeys(names, 4)) == [
        ("*", 3, 12, "trained, lr ×3")
    ]
