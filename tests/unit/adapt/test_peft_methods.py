"""Every method of PEFT that works on a CPU: train, save, load, merge, take out again."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ftune.adapt.edits import Edit, read_edits, replay, write_edits
from ftune.adapt.freeze import UnfreezeSchedule
from ftune.adapt.merge import folded, merge, unmerge
from ftune.adapt.peft_methods import check_settings, fixed_parameters
from ftune.adapt.quantize import base_state_dict, load_tensors
from ftune.adapt.rules import resolve, rule_table
from ftune.adapt.schema import Lora, Rule
from ftune.adapt.targets import edits_of_rules
from ftune.errors import RequestError
from ftune.optim.groups import Group

pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore")

METHODS: dict[str, dict[str, Any]] = {
    "lora": {"r": 2}, "adalora": {"init_r": 3}, "ia3": {}, "loha": {"r": 2}, "lokr": {"r": 2},
    "oft": {"oft_block_size": 4}, "boft": {"boft_block_size": 4}, "hra": {"r": 2},
    "vera": {"r": 4}, "pvera": {"r": 4},
    "vblora": {"num_vectors": 8, "vector_length": 4, "topk": 2},
    "fourierft": {"n_frequency": 20}, "waveft": {"n_frequency": 16}, "randlora": {"r": 2},
    "shira": {"r": 2}, "c3a": {"block_size": 4}, "road": {"group_size": 4}, "miss": {"r": 2},
    "delora": {"r": 2}, "gralora": {"r": 4}, "hira": {"r": 2}, "psoft": {"r": 4},
    "beft": {}, "deft": {"r": 2}, "glora": {}, "lily": {}, "osf": {}, "peanut": {}, "tinylora": {},
    "unilora": {}, "frod": {}, "adamss": {}, "supertuning": {},
}  # fmt: skip


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.up = nn.Embedding(10, 16), nn.Linear(16, 16)
        self.norm, self.down, self.head = nn.LayerNorm(16), nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.down(self.norm(torch.relu(self.up(self.embed(x)))))
        found: Tensor = self.head(hidden.mean(1))
        return found


def net() -> Any:
    torch.manual_seed(0)
    return Net()


def x() -> Tensor:
    return torch.randint(10, (8, 5), generator=torch.Generator().manual_seed(1))


def injected(*rules: Rule) -> tuple[Any, list[Edit]]:
    model = net()
    specs = edits_of_rules(rules, model, "head")
    replay(model, specs)
    return model, specs


def learn(model: Any, rules: list[Rule], specs: list[Edit], steps: int = 2) -> None:
    names = [name for name, _ in model.named_parameters()]
    effects = resolve(rules, names, model, "head", specs)
    UnfreezeSchedule(model, effects).enter(0)
    moved = {n: p for n, p in model.named_parameters() if effects[n].train}
    assert any(effect.adapter.startswith("peft") and effect.train for effect in effects.values())
    group = Group(tuple(moved), tuple(moved.values()))
    optimizer = torch.optim.Adam(group.parameters, lr=0.05)
    y = torch.arange(8) % 3
    for _ in range(steps):
        optimizer.zero_grad()
        loss: Tensor = nn.functional.cross_entropy(model(x()), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    model.eval()


@pytest.mark.parametrize("kind", METHODS)
def test_train_save_load_merge_unmerge_fold(kind: str, tmp_path: Path) -> None:
    base = net().eval()(x())
    rules = [Rule("/^(up|down)$/", peft={"type": kind, **METHODS[kind]})]
    model, specs = injected(*rules)
    before = {name: t.clone() for name, t in base_state_dict(model).items()}
    learn(model, rules, specs)
    after = base_state_dict(model)
    assert set(base_state_dict(net())) <= set(after), "names of the base stay"
    if kind != "osf":  # which decomposes the base's weights and trains a part of them
        for name in base_state_dict(net()):
            assert name.startswith("head") or torch.equal(before[name], after[name]), name
    trained = model(x())
    assert not torch.allclose(trained, base, atol=1e-3)

    save_file({k: t.contiguous().clone() for k, t in after.items()}, tmp_path / "s.safetensors")
    again = net()
    replay(again, read_edits(json.loads(json.dumps(write_edits(specs)))))
    load_tensors(again, load_file(tmp_path / "s.safetensors"))
    assert torch.allclose(again.eval()(x()), trained, atol=1e-6)
    assert torch.allclose(copy.deepcopy(model)(x()), trained, atol=1e-6)

    if kind == "lily":  # its router weighs the factors anew for each input
        with pytest.raises(RequestError, match="PEFT cannot merge"):
            folded(model)
        return
    plain, _ = folded(model)
    assert list(plain.state_dict()) == list(net().state_dict()), "as if it never was"
    assert torch.allclose(plain(x()), trained, atol=1e-4)
    merge(model)
    assert torch.allclose(model(x()), trained, atol=1e-4)
    unmerge(model)
    assert torch.equal(model(x()), trained), "bit for bit"


def test_layer_norms_and_convolutions() -> None:
    rules = [Rule("norm", peft={"type": "ln_tuning"})]
    model, specs = injected(*rules)
    learn(model, rules, specs)
    wanted = model(x())
    assert torch.allclose(folded(model)[0](x()), wanted, atol=1e-5)


def test_rules_reach_what_is_inside_a_wrapper_by_its_plain_name() -> None:
    rules = [Rule("up", peft={"type": "ia3"}), Rule("up.bias", train=True, lr_scale=3.0)]
    model, specs = injected(*rules)
    effects = resolve(rules, [n for n, _ in model.named_parameters()], model, "head", specs)
    assert effects["up.base_layer.bias"].train and effects["up.base_layer.bias"].lr_scale == 3
    assert not effects["up.base_layer.weight"].train
    assert effects["up.ia3_l.default"].state == "peft ia3, trained"
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    assert ("up", 1, 16, "peft ia3, trained") in rule_table(rules, effects, sizes)


def test_what_peft_keeps_fixed_stays() -> None:
    rules = [Rule("up", peft={"type": "adalora"})]
    model, specs = injected(*rules)
    effects = resolve(rules, [n for n, _ in model.named_parameters()], model, edits=specs)
    assert fixed_parameters(model) == {"up.ranknum.default"}
    assert not effects["up.ranknum.default"].train and effects["up.lora_E.default"].train


def test_a_lora_of_ours_beside_a_method_of_peft() -> None:
    rules = [Rule("up", peft={"type": "ia3"}), Rule("down", lora=Lora(2))]
    model, specs = injected(*rules)
    learn(model, rules, specs)
    wanted, plain = model(x()), folded(model)[0]
    assert torch.allclose(plain(x()), wanted, atol=1e-5)
    again = net()
    replay(again, specs)
    load_tensors(again, base_state_dict(model))
    assert torch.equal(again.eval()(x()), wanted)


def test_a_wrapped_base_rests_and_its_adapter_trains() -> None:
    rules = [Rule("up", peft={"type": "lora", "r": 2, "lora_dropout": 0.5})]
    model, specs = injected(*rules)
    UnfreezeSchedule(
        model, resolve(rules, [n for n, _ in model.named_parameters()], model, "head", specs)
    ).enter(0)
    assert model.up.lora_dropout["default"].training and not model.up.base_layer.training
    assert not model.norm.training


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"type": "ia4"}, "no `ia4` that goes into modules; did you mean `ia3`"),
        ({"type": "prompt_tuning"}, "no `prompt_tuning` that goes into modules"),
        ({"type": "lora", "lora_alhpa": 3}, "no setting `lora_alhpa`; did you mean `lora_alpha`"),
        ({"type": "lora", "target_modules": ["up"]}, "leave out `target_modules`: the rule's"),
        ({"type": "lora", "modules_to_save": ["up"]}, "train: true"),
        ({"type": "adalora", "tinit": 3}, "ranks are not reallocated"),
    ],
)
def test_settings_that_peft_does_not_know(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        check_settings(settings)


def test_what_peft_refuses_is_said() -> None:
    with pytest.raises(RequestError, match=r"PEFT refuses `c3a` here: .*block size"):
        injected(Rule("up", peft={"type": "c3a", "block_size": 7}))
    with pytest.raises(RequestError, match="a second `default`; give it a `name`"):
        injected(Rule("up", peft={"type": "ia3"}), Rule("down", peft={"type": "ia3"}))
    model, specs = injected(Rule("up", peft={"type": "ia3"}))
    replay(model, specs)
    with pytest.raises(RequestError, match="has a PEFT adapter `default` already"):
        replay(model, edits_of_rules([Rule("down", peft={"type": "ia3"})], model))
