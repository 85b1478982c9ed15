"""The ordered blocks of a model, whoever built it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from ftune.adapt.block_list import BlockList, block_list
from ftune.adapt.edits import Edit, replay
from ftune.adapt.schema import Lora
from ftune.config.fields import block
from ftune.config.load import Language
from ftune.extend import load_code
from ftune.models import MODELS
from ftune.models.shapes import Inputs

pytestmark = pytest.mark.usefixtures("apart")
RESIDUAL = (
    "import ftune",
    "from torch import nn",
    "class Residual(nn.Module):",
    "    def __init__(self, width):",
    "        super().__init__()",
    "        self.up, self.down = nn.Linear(width, 9), nn.Linear(9, width)",
    "    def forward(self, x):",
    "        return x + self.down(self.up(x).relu())",
    "@ftune.model('residual')",
    "class Model(nn.Module):",
    "    def __init__(self, inputs, outputs: int):",
    "        super().__init__()",
    "        self.stem = nn.Linear(inputs.shape[0], 6)",
    "        self.body = nn.ModuleList(Residual(6) for _ in range(3))",
    "        self.head = nn.Linear(6, outputs)",
    "    def forward(self, x):",
    "        x = self.stem(x)",
    "        for layer in self.body:",
    "            x = layer(x)",
    "        return self.head(x)",
)


@dataclass(frozen=True)
class Root:
    model: Any = block(MODELS)


def build(model: Any, inputs: Inputs) -> nn.Module:
    module: nn.Module = Language(Root).of({"model": model}).model.build(inputs, 2).module
    return module


def names(blocks: BlockList) -> tuple[list[str], list[list[str]], list[str]]:
    return list(blocks.stem), [list(modules) for modules in blocks.blocks], list(blocks.head)


def assert_modules_cover(model: nn.Module) -> None:
    """Every parameter lies in exactly one listed module, which is the one of that name."""
    stem, blocks, head = block_list(model)
    listed = [item for modules in (stem, *blocks, head) for item in modules.items()]
    assert all(model.get_submodule(name) is module for name, module in listed)
    owned = [id(p) for _, module in listed for p in module.parameters()]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())


def repeated() -> nn.Module:
    """Three transformers in a `repeat`, whose class is also that of the repeated layers."""
    transformers = {"repeat": {"times": 3, "layers": [{"transformer": 2}]}}
    layers = [{"embedding": 8}, transformers, "globalpool", {"linear": "out"}]
    return build({"name": "sequential", "layers": layers}, Inputs((5,), vocabulary=10))


def test_repeated_transformers_are_a_block_each() -> None:
    model = repeated()
    assert isinstance(model.get_submodule("repeat1.1"), type(model.get_submodule("repeat1")))
    blocks = [[f"repeat1.{i}"] for i in (1, 2, 3)]
    assert names(block_list(model)) == (["embedding1"], blocks, ["head"])
    assert_modules_cover(model)


def test_the_blocks_of_two_repeats_all_count() -> None:
    def repeat(times: int, heads: int) -> dict[str, object]:
        return {"repeat": {"times": times, "layers": [{"transformer": heads}]}}

    layers = [{"embedding": 8}, repeat(3, 2), repeat(2, 4), "globalpool", {"linear": "out"}]
    model = build({"name": "sequential", "layers": layers}, Inputs((5,), vocabulary=10))
    blocks = [[f"repeat{run}.{i}"] for run, n in ((1, 3), (2, 2)) for i in range(1, n + 1)]
    assert names(block_list(model)) == (["embedding1"], blocks, ["head"])
    assert_modules_cover(model)


class Stacked(nn.Sequential):
    """A block that is a container as well."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 4), nn.Linear(4, 4))


def test_containers_that_hold_no_run_are_blocks_in_every_stage() -> None:
    stages = (nn.Sequential(*(Stacked() for _ in range(n))) for n in (3, 2))
    model = nn.Sequential(next(stages), nn.Linear(4, 4), next(stages), nn.Linear(4, 2))
    blocks = [["0.0"], ["0.1"], ["0.2", "1"], ["2.0"], ["2.1"]]
    assert names(block_list(model)) == ([], blocks, ["3"])


def test_an_mlp_is_a_stack_of_layers_with_their_norms() -> None:
    model = build({"name": "mlp", "hidden": [9, 7, 5], "norm": "batchnorm"}, Inputs((4,)))
    stem, blocks, head = block_list(model)
    assert [type(m) for m in stem.values()] == [nn.Linear, nn.BatchNorm1d]
    kinds = [[type(m) for m in modules.values()] for modules in blocks]
    assert kinds == [[nn.Linear, nn.BatchNorm1d]] * 2
    assert [m.out_features for m in head.values() if isinstance(m, nn.Linear)] == [2]
    assert_modules_cover(model)


def test_a_sequential_of_plain_layers() -> None:
    layers = [{"linear": 8}, "relu", {"linear": 7}, "relu", {"linear": "out"}]
    model = build({"name": "sequential", "layers": layers}, Inputs((4,)))
    stem, blocks, head = block_list(model)
    assert (len(stem), len(blocks), len(head)) == (1, 1, 1)
    assert_modules_cover(model)


def test_a_transformer_has_embedding_blocks_head() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16)
    encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    parts = {"embed": nn.Embedding(11, 8), "encoder": encoder, "norm": nn.LayerNorm(8)}
    model = nn.ModuleDict({**parts, "head": nn.Linear(8, 2)})
    layers = [[f"encoder.layers.{i}"] for i in range(3)]
    assert names(block_list(model)) == (["embed"], layers, ["norm", "head"])
    assert_modules_cover(model)


def test_a_model_of_the_users_code(tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text("\n".join(RESIDUAL))
    load_code(tmp_path / "my.py")
    model = build("residual", Inputs((4,)))
    wanted = (["stem"], [["body.0"], ["body.1"], ["body.2"]], ["head"])
    assert names(block_list(model)) == wanted
    assert_modules_cover(model)
    replay(model, [Edit("lora", p, settings=Lora(2).settings()) for p in ("stem", "body.1.up")])
    assert names(block_list(model)) == wanted, "adapters are no blocks"


def test_unlike_modules_are_no_blocks() -> None:
    pairs = [nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)) for _ in range(2)]
    alike = nn.Sequential(*pairs)
    assert names(block_list(alike)) == ([], [["0"], ["1"]], [])
    pairs[1].append(nn.Linear(3, 3))
    assert names(block_list(alike)) == (["0.0"], [["0.1"], ["1.0"], ["1.1"]], ["1.2"])


@pytest.mark.parametrize(
    "model", [nn.Linear(2, 2), nn.Sequential(nn.ReLU()), nn.Sequential(nn.Linear(2, 2))]
)
def test_a_lone_module_has_no_blocks(model: nn.Module) -> None:
    assert names(block_list(model))[:2] == ([], [])
