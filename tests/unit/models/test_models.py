"""Whole models: parameter names, heads, named axes, and structures that cannot be."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any, cast

import pytest
import torch
from torch import nn

from ftune.config.dump import dump
from ftune.config.fields import block
from ftune.config.load import Language
from ftune.errors import ConfigError, RequestError
from ftune.models import LAYERS, MODELS
from ftune.models.assemble import TAKEN
from ftune.models.mlp import Mlp
from ftune.models.sequential import Sequential
from ftune.models.shapes import Axis, Inputs

NAMED = Inputs((3,), ("age", "education", "hours"), {"education": 4})
PLAIN = Inputs((2,), ("age", "hours"))


@dataclass(frozen=True)
class Root:
    model: Sequential | Mlp = block(MODELS)


def read(model: Any) -> Sequential | Mlp:
    return Language(Root).of({"model": model}).model


def sequential(*items: Any) -> Sequential:
    return cast(Sequential, read({"name": "sequential", "layers": list(items)}))


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


MODEL_CASES: list[tuple[Any, Inputs]] = [
    ({"name": "sequential", "layers": [{"linear": "out"}]}, Inputs((5,))),
    (
        {"name": "sequential", "layers": [{"conv2d": 4}, "relu", "globalpool", {"linear": "out"}]},
        Inputs((1, 8, 8)),
    ),
    ({"name": "sequential", "layers": ["embedding", {"linear": 8}, {"linear": "out"}]}, NAMED),
    ("mlp", Inputs((5,))),
    ("mlp", Inputs((2, 4, 4))),
    ("mlp", NAMED),
    ({"name": "mlp", "embed": "none"}, NAMED),
    ({"name": "mlp", "depth": 0}, NAMED),
    ({"name": "mlp", "hidden": [9, 7], "norm": "batchnorm", "dropout": 0.1}, PLAIN),
    ({"name": "mlp", "norm": "layernorm", "activation": "gelu", "init": "orthogonal"}, PLAIN),
]


def test_every_model_of_the_table_has_a_case() -> None:
    covered = {c if isinstance(c, str) else c["name"] for c, _ in MODEL_CASES}
    assert covered == set(MODELS) - {"hf", "timm"}  # these have files of their own


@pytest.mark.parametrize(("model", "inputs"), MODEL_CASES, ids=lambda v: str(v)[:50])
def test_it_runs_learns_and_says_where_its_head_is(model: Any, inputs: Inputs) -> None:
    torch.manual_seed(0)
    built = read(model).build(inputs, 3)
    x = torch.randint(0, 4, (6, *inputs.shape)).float()
    y = built.module(x)
    assert y.shape == (6, 3)
    (y * torch.randn_like(y)).sum().backward()
    for name, parameter in built.module.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    head = built.module.get_submodule(built.head)
    assert isinstance(head, nn.Linear) and head.out_features == 3
    for tensor in ("weight", "bias"):
        assert Axis(0, (), "output") in built.axes[f"{built.head}.{tensor}"]
    assert set(built.axes) <= set(built.module.state_dict())


@pytest.mark.parametrize(("model", "inputs"), MODEL_CASES, ids=lambda v: str(v)[:50])
def test_written_down_and_read_again_it_is_the_same(model: Any, inputs: Inputs) -> None:
    first = read(model)
    plain = dump(Root(first))
    assert read(plain["model"]) == first
    assert shapes(first.build(inputs, 2).module) == shapes(
        read(plain["model"]).build(inputs, 2).module
    )


def test_the_100_50_10_network_has_exactly_these_parameters() -> None:
    model = sequential({"linear": 50, "as": "layer1"}, "relu", {"linear": "out", "as": "layer2"})
    built = model.build(Inputs((100,)), 10)
    assert list(shapes(built.module).items()) == [
        ("layer1.weight", (50, 100)),
        ("layer1.bias", (50,)),
        ("layer2.weight", (10, 50)),
        ("layer2.bias", (10,)),
    ]
    assert built.head == "layer2"
    x = torch.randn(7, 100)
    state = built.module.state_dict()
    hidden = (x @ state["layer1.weight"].T + state["layer1.bias"]).relu()
    by_hand = hidden @ state["layer2.weight"].T + state["layer2.bias"]
    torch.testing.assert_close(built.module(x), by_hand)


def test_names_are_kind_and_ordinal_and_the_output_layer_is_head() -> None:
    model = sequential(
        {"linear": 4},
        "relu",
        {"linear": 4, "as": "middle"},
        "relu",
        {"linear": 4},
        {"linear": "out"},
    )
    names = [name for name, _ in model.build(PLAIN, 2).module.named_children()]
    assert names == ["linear1", "relu1", "middle", "relu2", "linear3", "head"]


def test_the_first_weights_are_named_by_column_through_norms_and_activations() -> None:
    built = sequential("batchnorm", {"dropout": 0.1}, {"linear": 4}, {"linear": "out"}).build(
        PLAIN, 2
    )
    columns = Axis(0, ("age", "hours"), "input")
    for tensor in ("weight", "bias", "running_mean", "running_var"):
        assert built.axes[f"batchnorm1.{tensor}"] == (columns,)
    assert "batchnorm1.num_batches_tracked" not in built.axes
    assert built.axes["linear1.weight"] == (Axis(1, ("age", "hours"), "input"),)
    assert "linear1.bias" not in built.axes
    assert built.axes["head.weight"] == (Axis(0, (), "output"),)


def test_a_head_on_the_columns_has_both_axes() -> None:
    built = sequential({"linear": "out"}).build(PLAIN, 2)
    assert built.axes["head.weight"] == (Axis(1, ("age", "hours"), "input"), Axis(0, (), "output"))


def test_the_layer_after_an_embedding_is_named_by_column_and_entry() -> None:
    built = sequential({"embedding": 2}, {"linear": 4}, {"linear": "out"}).build(NAMED, 2)
    names = ("age", "hours", "education[0]", "education[1]")
    assert built.axes["linear1.weight"] == (Axis(1, names, "input"),)
    table = (Axis(0, ("0", "1", "2", "3"), "input"),)
    assert built.axes["embedding1.tables.education.weight"] == table


def test_names_end_where_columns_are_mixed() -> None:
    for mixing in ({"reshape": [2]}, {"residual": [{"linear": 2}]}, {"linear": 2}):
        built = sequential(mixing, {"linear": 3}, {"linear": "out"}).build(PLAIN, 2)
        later = [name for name in built.axes if name.startswith(("linear2", "head"))]
        assert all(axis.role == "output" for name in later for axis in built.axes[name])


def test_the_axes_of_nested_layers_have_their_full_names() -> None:
    built = sequential(
        {"residual": [{"linear": 2, "as": "fc"}], "project": True},
        {"repeat": 2, "layers": [{"linear": 3}]},
        {"linear": "out"},
    ).build(PLAIN, 2)
    columns = (Axis(1, ("age", "hours"), "input"),)
    assert built.axes["residual1.fc.weight"] == columns
    assert built.axes["residual1.projection.weight"] == columns
    assert "repeat1.2.linear1.weight" in shapes(built.module)


def test_a_head_inside_a_nested_layer_is_found() -> None:
    built = sequential({"repeat": 1, "layers": [{"linear": 4}, {"linear": "out"}]}).build(PLAIN, 2)
    assert built.head == "repeat1.1.head"


def test_mlp_is_the_sequential_written_out() -> None:
    mlp = Mlp(hidden=[9, 7], norm="layernorm", dropout=0.1, activation="tanh", init="xavier_normal")
    written = sequential(
        {"embedding": "auto"},
        {"linear": 9, "as": "layer1", "init": "xavier_normal"},
        "layernorm", "tanh", {"dropout": 0.1},
        {"linear": 7, "as": "layer2", "init": "xavier_normal"},
        "layernorm", "tanh", {"dropout": 0.1},
        {"linear": "out", "init": "xavier_normal"},
    )  # fmt: skip
    assert mlp.layers(NAMED) == written.layers
    torch.manual_seed(3)
    a = mlp.build(NAMED, 2)
    torch.manual_seed(3)
    b = written.build(NAMED, 2)
    x = torch.tensor([[1.0, 3, 2], [0, 0, 1]])
    assert torch.equal(a.module.eval()(x), b.module.eval()(x))
    assert a.axes == b.axes


def test_mlp_sizes() -> None:
    assert shapes(Mlp(width=5, depth=3).build(PLAIN, 2).module) == {
        "layer1.weight": (5, 2), "layer1.bias": (5,),
        "layer2.weight": (5, 5), "layer2.bias": (5,),
        "layer3.weight": (5, 5), "layer3.bias": (5,),
        "head.weight": (2, 5), "head.bias": (2,),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([], "empty"),
        ([{"linear": 4}], "no layer has size `out`"),
        ([{"linear": "out"}, {"linear": "out", "as": "b"}], "2 layers have size `out`"),
        ([{"repeat": 2, "layers": [{"linear": "out"}]}], "2 layers have size `out`"),
        ([{"linear": 4, "as": "a"}, {"linear": "out", "as": "a"}], "both named `a`"),
        (
            [{"linear": 4, "as": "linear2"}, {"linear": 4}, {"linear": "out"}],
            "both named `linear2`",
        ),
        ([{"linear": 4, "as": "a.b"}, {"linear": "out"}], "no dots"),
        ([{"linear": 4, "as": "a b"}, {"linear": "out"}], "no dots"),
        ([{"linear": 4, "as": "_modules"}, {"linear": "out"}], "no dots"),
        ([{"linear": 4, "as": "forward"}, {"linear": "out"}], "attribute"),
        ([{"linear": 4, "as": "train"}, {"linear": "out"}], "attribute"),
        ([{"repeat": 2, "layers": [{"linear": 4, "as": "eval"}]}, {"linear": "out"}], "attribute"),
    ],
)
def test_structures_that_cannot_be_are_config_errors(layers: list[Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sequential(*layers)
    assert said in str(caught.value)


def test_mlp_takes_hidden_or_width_and_depth() -> None:
    with pytest.raises(ConfigError, match="replaces"):
        read({"name": "mlp", "hidden": [4], "width": 64})


def test_an_output_of_another_shape_is_an_error() -> None:
    with pytest.raises(RequestError, match=r"gives \[6, 2\] for each sample, the task needs \[2\]"):
        sequential({"linear": "out"}).build(Inputs((6, 5)), 2)
    with pytest.raises(RequestError, match=r"gives \[4\]"):
        sequential({"linear": "out"}, {"linear": 4}).build(PLAIN, 2)


def test_taken_names_are_those_of_the_installed_torch() -> None:
    boxes = [*dir(nn.Sequential()), *dir(nn.ModuleDict())]
    assert {name for name in boxes if not name.startswith("_")} <= TAKEN


def test_schemas_are_read_without_torch() -> None:
    code = (
        "import sys; from ftune.models import MODELS, LAYERS\n"
        "from ftune.config.fields import settings_of\n"
        "[settings_of(table[name]) for table in (MODELS, LAYERS) for name in table]\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_setting_is_documented() -> None:
    from ftune.config.fields import settings_of

    for table in (MODELS, LAYERS):
        for name in table:
            meaning = table[name].__doc__ or ""
            assert meaning and not meaning.startswith(f"{table[name].__name__}(")
            assert all(setting.doc for setting in settings_of(table[name]).values()), name


@pytest.mark.parametrize(("model", "inputs"), MODEL_CASES, ids=lambda v: str(v)[:50])
def test_models_can_be_stacked(model: Any, inputs: Inputs) -> None:
    """A population runs through vmap: nothing in forward may depend on the data's values."""
    modules = [read(model).build(inputs, 3).module.eval() for _ in range(2)]
    parameters, buffers = torch.func.stack_module_state(modules)
    x = torch.randint(0, 4, (6, *inputs.shape)).float()

    def one(p: Any, b: Any) -> torch.Tensor:
        return torch.func.functional_call(modules[0], (p, b), (x,))  # type: ignore[no-any-return]

    together = torch.vmap(one)(parameters, buffers)
    alone = torch.stack([module(x) for module in modules])
    torch.testing.assert_close(together, alone)
