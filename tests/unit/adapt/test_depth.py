"""How far a parameter is from the output, on models nobody built for it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ftune.adapt.depth import distances
from ftune.adapt.edits import Edit, replay
from ftune.adapt.schema import Lora


def stages(model: nn.Module, head: str = "") -> dict[int, set[str]]:
    """Distance -> names of parameters."""
    found: dict[int, set[str]] = {}
    for name, far in distances(model, head).items():
        found.setdefault(far, set()).add(name)
    return found


def cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(4, 2),
    )  # fmt: skip


def test_a_plain_stack_counts_its_layers_and_norms_belong_to_the_layer_before() -> None:
    assert stages(cnn()) == {
        2: {"0.weight", "0.bias", "1.weight", "1.bias"},
        1: {"3.weight", "3.bias"},
        0: {"6.weight", "6.bias"},
    }


def test_nested_stacks_are_one_stack() -> None:
    model = nn.Sequential(cnn()[:5], nn.Flatten(), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)))
    far = distances(model)
    assert [far[name] for name in ("0.0.bias", "0.3.bias", "2.0.bias", "2.1.bias")] == [3, 2, 1, 0]


class Stages(nn.Module):
    """A residual network: stem, stages of blocks of one class, head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
        self.layer1 = nn.Sequential(*(self.block() for _ in range(2)))
        self.layer2 = nn.Sequential(*(self.block() for _ in range(3)))
        self.fc = nn.Linear(4, 2)

    def block(self) -> nn.Module:
        return nn.TransformerEncoderLayer(4, 1, 4)


def test_stages_of_like_blocks_are_one_run() -> None:
    far = distances(Stages(), "fc")
    wanted = {"stem.0.weight": 6, "layer1.0.linear1.weight": 5, "layer1.1.linear1.weight": 4,
              "layer2.0.linear1.weight": 3, "layer2.2.norm2.bias": 1, "fc.weight": 0}  # fmt: skip
    assert {name: far[name] for name in wanted} == wanted


def test_bert() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=8,
    )  # fmt: skip
    model = nn.ModuleDict({"encoder": transformers.BertModel(config), "head": nn.Linear(8, 2)})
    found = stages(model, "head")
    assert set(found) == {0, 1, 2, 3, 4}
    assert all("embeddings" in name for name in found[4])
    assert all("pooler" in name or name.startswith("head") for name in found[0])
    for far in (1, 2, 3):
        assert all(f".layer.{3 - far}." in name for name in found[far])


def test_llama() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, intermediate_size=8,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    found = stages(model)
    assert found[3] == {"model.embed_tokens.weight"}
    assert found[0] == {"model.norm.weight", "lm_head.weight"}
    assert all("layers.1." in name for name in found[1])


def test_efficientnet() -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    found = stages(package.EfficientNet.from_name("efficientnet-lite0"), "_fc")
    assert sorted(found) == list(range(18))
    assert {name.partition(".")[0] for name in found[0]} == {"_conv_head", "_bn1", "_fc"}
    assert {name.partition(".")[0] for name in found[17]} == {"_conv_stem", "_bn0"}
    assert all(name.startswith("_blocks.15.") for name in found[1])


@pytest.mark.parametrize("build", [cnn, Stages])
def test_adapters_are_where_their_module_is(build: Any) -> None:
    model = build()
    before = distances(model)
    path = next(n for n, m in reversed(list(model.named_modules())) if isinstance(m, nn.Linear))
    replay(model, [Edit("lora", path, settings=Lora(2).settings())])
    after = distances(model)
    assert {name: after[name] for name in before} == before
    assert after[f"{path}.lora.default.A"] == before[f"{path}.weight"]


def test_one_layer() -> None:
    assert set(distances(nn.Sequential(nn.Linear(2, 2))).values()) == {0}
    assert set(distances(nn.Linear(2, 2)).values()) == {0}
    assert distances(nn.Sequential(nn.ReLU())) == {}


def test_parameters_of_the_model_itself_are_below() -> None:
    model = Stages()
    model.position = nn.Parameter(torch.zeros(1))
    assert distances(model)["position"] == 6
