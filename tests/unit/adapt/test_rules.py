"""Ordered rules over names, and what they do to a model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ftune.adapt.freeze import UnfreezeSchedule, frozen_subtrees
from ftune.adapt.patterns import matches
from ftune.adapt.rules import ParamPlan, resolve, rule_table
from ftune.adapt.schema import Rule
from ftune.config.read import SettingError
from ftune.errors import RequestError

NAMES = ["layer1.weight", "layer1.bias", "norm.weight", "layer2.weight", "layer2.bias"]


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("*", NAMES),
        ("layer1.*", NAMES[:2]),
        ("*.bias", ["layer1.bias", "layer2.bias"]),
        ("layer?.weight", ["layer1.weight", "layer2.weight"]),
        ("layer[2-9].*", NAMES[3:]),
        ("layer1", []),
        ("Layer1.*", []),
        ("/layer1/", NAMES[:2]),
        (r"/^layer\d\.w/", ["layer1.weight", "layer2.weight"]),
        ("/(bias|norm)/", ["layer1.bias", "norm.weight", "layer2.bias"]),
    ],
)
def test_patterns(pattern: str, wanted: list[str]) -> None:
    rule = Rule(pattern, train=True)
    assert [name for name in NAMES if matches(rule, name)] == wanted


def test_the_last_match_wins_effect_by_effect() -> None:
    rules = [
        Rule("*", train=False, weight_decay=0.1),
        Rule("layer*", lr_scale=10.0),
        Rule("layer2.*", train=True, lr_scale=0.5),
        Rule("*.bias", weight_decay=0.0),
    ]
    found = resolve(rules, NAMES)
    assert found["norm.weight"] == ParamPlan(False, 1.0, 0.1, 0, 0)
    assert found["layer1.weight"] == ParamPlan(False, 10.0, 0.1, 0, 1)
    assert found["layer2.weight"] == ParamPlan(True, 0.5, 0.1, 0, 2)
    assert found["layer2.bias"] == ParamPlan(True, 0.5, 0.0, 0, 3)


def test_order_matters() -> None:
    first, last = Rule("*", train=False), Rule("layer1.*", train=True)
    assert resolve([first, last], NAMES)["layer1.bias"].train
    with pytest.raises(RequestError, match="freeze every parameter"):
        resolve([last, first], NAMES)


def test_from_epoch() -> None:
    frozen = Rule("*", train=False)
    found = resolve([frozen, Rule("layer1.*", from_epoch=3)], NAMES)
    assert (found["layer1.bias"].train, found["layer1.bias"].from_epoch) == (True, 3)
    found = resolve([Rule("*", from_epoch=3), Rule("layer1.*", train=True)], NAMES)
    assert found["layer1.bias"].from_epoch == 0 and found["norm.weight"].from_epoch == 3
    found = resolve([Rule("*", from_epoch=3), Rule("layer1.*", lr_scale=2.0)], NAMES)
    assert found["layer1.bias"].from_epoch == 3, "another effect leaves it alone"


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("layer3.*", "did you mean `layer"),
        ("norn.weight", "`norm.weight`"),
        ("/^lyaer1/", "`/^layer1/`, as in `layer1.weight`"),
        ("*.wieght", "did you mean `*.weight`, as in `layer1.weight`?"),
        ("lyaer2.*", "did you mean `layer2.*`, as in `layer2.weight`?"),
        ("zzzzzzzzz", "parameters: layer1.weight"),
    ],
)
def test_no_match_names_the_nearest(pattern: str, hint: str) -> None:
    with pytest.raises(RequestError, match="matches no parameter") as caught:
        resolve([Rule("*", train=True), Rule(pattern, train=True)], NAMES)
    assert "adapt.1.match" in str(caught.value) and hint in str(caught.value)


def test_no_rules_train_everything() -> None:
    assert set(resolve([], NAMES).values()) == {ParamPlan()}
    assert resolve([], []) == {}


def test_table_has_each_parameter_once() -> None:
    rules = [Rule("*", train=False), Rule("layer2.*", train=True, lr_scale=10.0, weight_decay=0.0)]
    rows = rule_table(rules, resolve(rules, NAMES), dict.fromkeys(NAMES, 5))
    assert rows == [
        ("*", 3, 15, "frozen"),
        ("layer2.*", 2, 10, "trained, lr ×10, weight decay 0"),
    ]
    assert rule_table([], resolve([], NAMES), dict.fromkeys(NAMES, 1))[0][0] == "(no rule)"


@pytest.mark.parametrize(
    "given",
    [{}, {"train": False, "from_epoch": 2}, {"match": "/(/", "train": True}],
)
def test_rules_that_are_none(given: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        Rule(**({"match": "*"} | given))  # type: ignore[arg-type]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5)), nn.Linear(6, 2)
    )


def phases(model: nn.Module, *rules: Rule) -> UnfreezeSchedule:
    return UnfreezeSchedule(model, resolve(rules, [name for name, _ in model.named_parameters()]))


def forward(model: nn.Module) -> None:
    model(torch.randn(32, 4) * 3 + 1)


def test_frozen_batch_statistics_do_not_move() -> None:
    model = network()
    phases(model, Rule("0.*", train=False)).enter(0)
    before = {name: b.clone() for name, b in model.named_buffers()}
    forward(model)
    assert all(torch.equal(b, before[name]) for name, b in model.named_buffers())
    assert not model[0][2].training and model[1].training  # type: ignore[index]


def test_control_without_phases_they_move() -> None:
    model = network()
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    model.train()
    before = {name: b.clone() for name, b in model.named_buffers()}
    forward(model)
    assert any(not torch.equal(b, before[name]) for name, b in model.named_buffers())


def test_a_module_with_one_trained_parameter_is_not_frozen() -> None:
    model = network()
    found = phases(model, Rule("*", train=False), Rule("0.1.bias", train=True))
    found.enter(0)
    assert model[0][1].training  # type: ignore[index]
    assert [id(m) for m in found.frozen_roots] == [id(model[0][0]), id(model[1])]  # type: ignore[index]


def test_gradual_unfreezing() -> None:
    model = network()
    found = phases(model, Rule("0.*", from_epoch=2))
    assert found.starts == [2]
    moving = []
    for epoch in (0, 1, 2, 3, 0):
        found.enter(epoch)
        assert model[0][1].training is bool(epoch >= 2)  # type: ignore[index]
        moving.append(sum(p.requires_grad for p in model.parameters()))
    assert moving == [2, 2, 6, 6, 2]


def test_train_mode_keeps_the_frozen_at_rest() -> None:
    model = network()
    found = phases(model, Rule("0.*", train=False))
    found.enter(0)
    model.eval()
    found.train_mode()
    assert not model[0][1].training and model[1].training  # type: ignore[index]


def test_frozen_subtrees() -> None:
    model = network()
    assert frozen_subtrees(model) == []
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    assert frozen_subtrees(model) == [model]
    assert frozen_subtrees(nn.Dropout(0.1)) == []
