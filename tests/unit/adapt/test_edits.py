"""The log of edits: through JSON, onto the bare model, and what a damaged one says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from ftune.adapt.edits import KINDS, Edit, read_edits, replay, write_edits
from ftune.adapt.quantize import base_state_dict, load_tensors
from ftune.adapt.rules import resolve
from ftune.adapt.schema import Lora, Rule
from ftune.adapt.targets import edits_of_rules, with_rules
from ftune.errors import CheckpointError

RULES = (Rule("0", quantize="int8"), Rule("[02]", lora=Lora(2)), Rule("2", lora=Lora(3)))
X = torch.linspace(-1, 1, 24).view(4, 6)


def bare() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))


def edited() -> tuple[nn.Sequential, list[Edit]]:
    """A model that rules edited, with adapters that do something."""
    torch.manual_seed(0)
    model = bare()
    edits = edits_of_rules(RULES, model)
    replay(model, edits)
    for name, parameter in model.named_parameters():
        if name.endswith(".B"):
            nn.init.normal_(parameter)
    return model, edits


def rebuilt(edits: Sequence[Edit]) -> nn.Sequential:
    """The bare model with the edits that come back from JSON."""
    torch.manual_seed(1)
    model = bare()
    replay(model, read_edits(json.loads(json.dumps(write_edits(edits)))))
    return model


def structure(model: nn.Module) -> dict[str, Any]:
    return {
        name: (t.shape, t.dtype, type(t))
        for name, t in model.state_dict(keep_vars=True).items()
        if isinstance(t, torch.Tensor)
    }


def test_a_log_replayed_on_the_bare_model_is_the_model() -> None:
    pytest.importorskip("torchao")
    model, edits = edited()
    again = rebuilt(edits)
    assert structure(again) == structure(model) != structure(bare())
    assert not torch.equal(again(X), model(X)), "before its tensors are loaded"
    load_tensors(again, base_state_dict(model, packed=True))
    assert torch.equal(again(X), model(X))
    replay(again, edits)
    assert torch.equal(again(X), model(X)), "what is there already stays"


def test_a_log_without_one_edit_is_another_model() -> None:
    pytest.importorskip("torchao")
    model, edits = edited()
    tensors = base_state_dict(model, packed=True)
    for i, edit in enumerate(edits):
        other = rebuilt(edits[:i] + edits[i + 1 :])
        assert structure(other) != structure(model), edit
        with pytest.raises(CheckpointError, match="do not fit the model"):
            load_tensors(other, tensors)


def test_the_form_of_version_0_1() -> None:
    stored = {
        "adapters": [
            {"kind": "int8", "module": "0", "name": "int8", "settings": {}},
            {"kind": "lora", "module": "0", "name": "default", "settings": Lora(2).settings()},
        ]
    }
    edits = read_edits(stored)
    assert [(edit.kind, edit.module) for edit in edits] == [("int8", "0"), ("lora", "0")]
    assert write_edits(edits) == stored, "the index of a rule is not stored"
    assert read_edits({}) == ()


@pytest.mark.parametrize(
    "stored",
    [
        [{"kind": "lora"}],
        [3],
        3,
        [{"kind": "prune", "module": "0"}],
        [{"kind": []}],
        [{"kind": "int8", "module": "0", "rank": 2}],
    ],
)
def test_a_damaged_log_is_refused(stored: Any) -> None:
    with pytest.raises(CheckpointError, match="damaged"):
        read_edits({"adapters": stored})


def test_an_edit_knows_its_rule() -> None:
    edits = edits_of_rules(RULES, bare())
    assert [(e.kind, e.module, e.rule) for e in edits] == [
        ("int8", "0", 0), ("lora", "0", 1), ("lora", "2", 2),
    ]  # fmt: skip
    stored = read_edits(write_edits(edits))
    assert [e.rule for e in stored] == [None] * 3
    assert [e.rule for e in with_rules(stored, RULES)] == [0, 1, 2]
    assert [e.rule for e in with_rules(stored, RULES[:2])] == [0, 1, 1]
    assert [e.rule for e in with_rules(stored, ())] == [None] * 3


def test_the_rule_of_a_parameter_is_that_of_its_edit() -> None:
    rules = RULES[1:]
    model = bare()
    edits = edits_of_rules(rules, model)
    replay(model, edits)
    names = [name for name, _ in model.named_parameters()]
    of_adapters = {"0.lora.default.A": 0, "2.lora.default.A": 1}
    plans = resolve(rules, names, model, edits=edits)
    assert {name: plans[name].rule for name in of_adapters} == of_adapters
    plans = resolve(rules, names, model, edits=with_rules(edits, rules[:1]))
    assert {name: plans[name].rule for name in of_adapters} == dict.fromkeys(of_adapters, 0)


def test_every_kind_of_a_rule_is_in_the_table() -> None:
    pytest.importorskip("peft")
    rules = (Rule("0", quantize="int8"), Rule("2", lora=Lora(2)), Rule("4", peft={"type": "ia3"}))
    kinds = {edit.kind for edit in edits_of_rules(rules, bare())}
    assert kinds | {"bf16", "nf4"} == set(KINDS)
