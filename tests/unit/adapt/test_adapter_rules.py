"""Rules that add adapters: which modules they mean, what is trained then, what the table says."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from ftune.adapt.edits import replay
from ftune.adapt.freeze import UnfreezeSchedule
from ftune.adapt.rules import ParamPlan, resolve, rule_table
from ftune.adapt.schema import Lora, Rule
from ftune.adapt.targets import edits_of_rules
from ftune.config.read import SettingError
from ftune.errors import RequestError


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.v_proj = nn.Linear(8, 8), nn.Linear(8, 8, bias=False)
        self.norm, self.dropout = nn.LayerNorm(8), nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.dropout(self.v_proj(torch.relu(self.q_proj(self.norm(x)))))
        return x + found


class Model(nn.Module):
    """Embedding, two blocks with batch statistics and attention of torch's, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.batch = nn.BatchNorm1d(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        x = self.batch(x.mean(1))
        x = self.attention(x[:, None], x[:, None], x[:, None])[0][:, 0]
        found: torch.Tensor = self.head(x)
        return found


def model() -> Any:
    torch.manual_seed(0)
    return Model()


def adapted(*rules: Rule, head: str = "head") -> tuple[Any, dict[str, ParamPlan]]:
    found = model()
    edits = edits_of_rules(rules, found, head)
    replay(found, edits)
    names = [name for name, _ in found.named_parameters()]
    return found, resolve(rules, names, found, head, edits)


def targets(match: str, **settings: Any) -> list[str]:
    rule = Rule(match, lora=Lora(2), **settings)
    return [spec.module for spec in edits_of_rules([rule], model(), "head")]


@pytest.mark.parametrize(
    ("match", "wanted"),
    [
        ("*.q_proj", ["blocks.0.q_proj", "blocks.1.q_proj"]),
        ("blocks.1.*", ["blocks.1.q_proj", "blocks.1.v_proj"]),
        ("/blocks.*v_proj$/", ["blocks.0.v_proj", "blocks.1.v_proj"]),
        ("embed", ["embed"]),
        ("*", ["embed", "blocks.0.q_proj", "blocks.0.v_proj", "blocks.1.q_proj",
               "blocks.1.v_proj"]),
    ],
)  # fmt: skip
def test_patterns_over_modules(match: str, wanted: list[str]) -> None:
    assert targets(match) == wanted


@pytest.mark.parametrize(
    ("match", "message"),
    [
        ("*.norm", r"only 2 LayerNorm \(blocks.0.norm: LayerNorm has no matrix"),
        ("blocks.*.dropout", "only 2 Dropout"),
        ("blocks", "only 1 ModuleList"),
        ("attention.*", "nn.MultiheadAttention reads its weights past the module"),
        ("head", "starts from random weights"),
        ("*.q_porj", r"did you mean `\*.q_proj`"),
        ("embde", "did you mean `embed`"),
        ("*.q_proj.weight", "leave out `.weight`"),
        ("zzzzzzzz", "modules: embed, blocks"),
    ],
)
def test_patterns_that_adapt_nothing(match: str, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        targets(match)
    assert "adapt.0.match" in str(caught.value)


def test_a_head_that_is_not_fresh_is_adapted() -> None:
    specs = edits_of_rules([Rule("head", lora=Lora(2))], model())
    assert [spec.module for spec in specs] == ["head"]


def test_the_last_rule_counts_for_one_name_and_names_add_up() -> None:
    rules = [
        Rule("*_proj", lora=Lora(2)),
        Rule("*.q_proj", lora=Lora(4)),
        Rule("blocks.0.q_proj", lora=Lora(3, name="more")),
    ]
    specs = edits_of_rules(rules, model(), "head")
    ranks = {(s.module, s.name): s.settings["rank"] for s in specs}
    assert ranks == {
        ("blocks.0.q_proj", "default"): 4, ("blocks.0.q_proj", "more"): 3,
        ("blocks.0.v_proj", "default"): 2, ("blocks.1.q_proj", "default"): 4,
        ("blocks.1.v_proj", "default"): 2,
    }  # fmt: skip


def test_what_no_rule_mentions_is_frozen_but_a_fresh_head() -> None:
    _, effects = adapted(Rule("*.q_proj", lora=Lora(2)))
    trained = {name for name, effect in effects.items() if effect.train}
    lora = {f"blocks.{i}.q_proj.lora.default.{part}" for i in (0, 1) for part in "AB"}
    assert trained == lora | {"head.weight", "head.bias"}
    assert "blocks.0.q_proj.weight" in effects, "names of the base stay"
    _, effects = adapted(Rule("*.q_proj", lora=Lora(2)), head="")
    assert {name for name, effect in effects.items() if effect.train} == lora


def test_a_pattern_reaches_past_what_it_cannot_adapt() -> None:
    """`*` matches the fresh head and torch's attention as well, and leaves them alone."""
    _, effects = adapted(Rule("*", lora=Lora(2, bias=True)))
    assert effects["head.weight"].train and effects["head.bias"].train
    assert not effects["attention.out_proj.bias"].train
    assert effects["blocks.0.q_proj.bias"].train


def test_a_rate_alone_unfreezes_nothing_and_train_does() -> None:
    _, effects = adapted(
        Rule("*.q_proj", lora=Lora(2)), Rule("*", weight_decay=0.0), Rule("*.norm.*", train=True)
    )
    assert not effects["embed.weight"].train and effects["embed.weight"].weight_decay == 0
    assert effects["blocks.0.norm.weight"].train
    assert effects["blocks.0.q_proj.lora.default.A"].weight_decay == 0


def test_lora_plus_biases_saved_modules_and_later_rules() -> None:
    _, effects = adapted(
        Rule("*_proj", lr_scale=2.0, weight_decay=0.1,
             lora=Lora(2, lora_plus=16.0, bias=True, modules_to_save=["embed", "*.norm"])),
        Rule("blocks.1.*.lora.*.B", lr_scale=5.0),
        Rule("blocks.1.*.lora.*", from_epoch=2),
    )  # fmt: skip
    a, b = (effects[f"blocks.0.q_proj.lora.default.{part}"] for part in "AB")
    assert (a.lr_scale, b.lr_scale, a.weight_decay) == (2.0, 32.0, 0.1)
    assert effects["blocks.1.v_proj.lora.default.B"].lr_scale == 5.0
    assert effects["blocks.1.v_proj.lora.default.A"].from_epoch == 2
    assert effects["blocks.0.q_proj.bias"].train and not effects["blocks.0.q_proj.weight"].train
    assert effects["embed.weight"].train and effects["blocks.1.norm.bias"].train
    assert not effects["batch.weight"].train
    with pytest.raises(RequestError, match=r"modules_to_save: `\*.nrom` matches no module"):
        adapted(Rule("*_proj", lora=Lora(2, modules_to_save=["*.nrom"])))


def test_an_overruled_rule_leaves_no_rate_behind() -> None:
    _, effects = adapted(
        Rule("*_proj", lora=Lora(2, lora_plus=16.0)), Rule("*.q_proj", lora=Lora(2))
    )
    assert effects["blocks.0.q_proj.lora.default.B"].lr_scale == 1
    assert effects["blocks.0.v_proj.lora.default.B"].lr_scale == 16


def test_the_table_shows_adapters() -> None:
    rules = [Rule("*_proj", lora=Lora(8, alpha=16, lora_plus=4.0)), Rule("*", layer_decay=0.5)]
    found, effects = adapted(*rules)
    sizes = {name: p.numel() for name, p in found.named_parameters()}
    rows = rule_table(rules, effects, sizes)
    depth = ", by depth ×0.25 … ×0.5"
    assert ("*_proj", 4, 256, f"lora r=8 alpha=16, trained{depth}") in rows
    assert ("*_proj", 4, 256, f"lora r=8 alpha=16, trained, lr ×4{depth}") in rows
    assert ("*_proj", 6, 272, "frozen") in rows
    assert sum(row[1] for row in rows) == len(effects)


def test_layer_decay_multiplies_whatever_the_rate_is() -> None:
    rules = [
        Rule("*", layer_decay=0.5),
        Rule("head.*", lr_scale=10.0),
        Rule("embed.*", lr_scale=8.0),
    ]
    found = model()
    names = [name for name, _ in found.named_parameters()]
    effects = resolve(rules, names, found, "head")
    assert effects["head.weight"].lr_scale == 10
    assert effects["blocks.1.q_proj.weight"].lr_scale == 0.5
    assert effects["blocks.0.q_proj.weight"].lr_scale == 0.25
    assert effects["embed.weight"].lr_scale == 8 * 0.125
    assert effects["embed.weight"].train


def test_base_rests_and_adapters_train() -> None:
    found, effects = adapted(Rule("*.q_proj", lora=Lora(2, dropout=0.5)))
    UnfreezeSchedule(found, effects).enter(0)
    on = {name for name, module in found.named_modules() if module.training}
    inside = {f"blocks.{i}.q_proj.lora{rest}" for i in (0, 1) for rest in ("", ".default")}
    assert on == {"", "head"} | inside
    before = found.batch.running_mean.clone()
    found(torch.randint(11, (4, 5)))
    assert torch.equal(found.batch.running_mean, before)


def test_adapters_that_wait_rest_too() -> None:
    found, effects = adapted(Rule("*.q_proj", lora=Lora(2, dropout=0.5), from_epoch=1))
    phases = UnfreezeSchedule(found, effects)
    phases.enter(0)
    assert (
        not found.blocks[0].q_proj.lora.training
        and not found.blocks[0].q_proj.lora.default.training
    )
    phases.enter(1)
    assert found.blocks[0].q_proj.lora.default.training
    assert not found.blocks[0].dropout.training


def test_a_trained_block_keeps_its_dropout_beside_adapters() -> None:
    found, effects = adapted(Rule("*.q_proj", lora=Lora(2)), Rule("blocks.1.norm.*", train=True))
    UnfreezeSchedule(found, effects).enter(0)
    assert found.blocks[1].dropout.training and not found.blocks[0].dropout.training


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"lora": Lora(2), "train": False}, "train"),
        ({"lora": Lora(2), "peft": {"type": "ia3"}}, "peft"),
        ({"peft": {"r": 3}}, "peft"),
        ({"quantize": "int8", "train": True}, "quantize"),
        ({"quantize": "int8", "lr_scale": 2.0}, "quantize"),
    ],
)
def test_rules_that_contradict_themselves(settings: dict[str, Any], where: str) -> None:
    with pytest.raises(SettingError) as caught:
        Rule("*", **settings)
    assert caught.value.setting == where


def test_names_of_adapters() -> None:
    with pytest.raises(SettingError, match="letters"):
        Lora(name="a.b")


def test_the_schema_needs_no_torch() -> None:
    code = (
        "import sys\nfrom ftune.adapt.schema import Rule\n"
        "assert not {'torch', 'peft', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
