"""Every layer of the table: it builds, gives the shape it predicts, and all of it learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from ftune.config.fields import blocks
from ftune.config.load import Language
from ftune.errors import ConfigError
from ftune.models import LAYERS
from ftune.models.assemble import assemble
from ftune.models.init import Init, initialise
from ftune.models.shapes import Inputs, Layer, MisfitError, Part

FLAT, SEQUENCE, IMAGE = Inputs((12,)), Inputs((6, 5)), Inputs((4, 8, 8))
TABLE = Inputs((4,), ("age", "education", "hours", "a.b"), {"education": 7, "a.b": 3})
CODES = Inputs((6,))
TOKENS, STEPS = Inputs((6,), vocabulary=9), Inputs((6, 5), time=True)

CASES: list[tuple[Any, Inputs, tuple[int, ...]]] = [
    ({"linear": 7}, FLAT, (7,)),
    ({"linear": {"size": 7, "bias": False}}, SEQUENCE, (6, 7)),
    ({"linear": "out"}, FLAT, (3,)),
    ({"conv1d": 8}, SEQUENCE, (8, 3)),
    ({"conv1d": 12, "kernel": 2, "stride": 2, "padding": 1, "groups": 6}, SEQUENCE, (12, 3)),
    ({"conv1d": 8, "padding": "same", "dilation": 2}, SEQUENCE, (8, 5)),
    ({"conv1d": 8, "dilation": 2}, SEQUENCE, (8, 1)),
    ({"conv2d": 8}, IMAGE, (8, 6, 6)),
    ({"conv2d": 8, "stride": 2, "padding": 1, "bias": False}, IMAGE, (8, 4, 4)),
    ({"conv2d": 8, "padding": "same", "groups": 4}, IMAGE, (8, 8, 8)),
    ("maxpool", SEQUENCE, (6, 2)),
    ({"maxpool": 3, "stride": 2, "padding": 1}, IMAGE, (4, 4, 4)),
    ("avgpool", IMAGE, (4, 4, 4)),
    ({"avgpool": 5}, SEQUENCE, (6, 1)),
    ("globalpool", IMAGE, (4,)),
    ({"globalpool": "max"}, SEQUENCE, (6,)),
    ("batchnorm", FLAT, (12,)),
    ("batchnorm", SEQUENCE, (6, 5)),
    ("batchnorm", IMAGE, (4, 8, 8)),
    ("layernorm", FLAT, (12,)),
    ("layernorm", SEQUENCE, (6, 5)),
    ("layernorm", IMAGE, (4, 8, 8)),
    ({"groupnorm": 3}, FLAT, (12,)),
    ({"groupnorm": 2}, IMAGE, (4, 8, 8)),
    ("rmsnorm", FLAT, (12,)),
    ("rmsnorm", SEQUENCE, (6, 5)),
    ({"dropout": 0.2}, IMAGE, (4, 8, 8)),
    ("relu", FLAT, (12,)),
    ("gelu", FLAT, (12,)),
    ("silu", FLAT, (12,)),
    ("tanh", FLAT, (12,)),
    ("sigmoid", FLAT, (12,)),
    ("softmax", SEQUENCE, (6, 5)),
    ("flatten", IMAGE, (256,)),
    ("flatten", FLAT, (12,)),
    ({"reshape": [3, 4]}, FLAT, (3, 4)),
    ({"reshape": [1, -1, 16]}, IMAGE, (1, 16, 16)),
    ("embedding", TABLE, (2 + 5 + 3,)),
    ({"embedding": 4, "columns": ["a.b"]}, TABLE, (3 + 4,)),
    ({"embedding": 4, "vocabulary": 9}, CODES, (6, 4)),
    ({"residual": [{"linear": 12}, "relu"]}, FLAT, (12,)),
    ({"residual": [{"linear": 7}, "relu"], "project": True}, FLAT, (7,)),
    ({"residual": [{"linear": 7}, "tanh"], "project": True}, SEQUENCE, (6, 7)),
    ({"residual": [{"conv1d": 8, "padding": 1}], "project": True}, SEQUENCE, (8, 5)),
    ({"residual": [{"conv2d": 8, "stride": 2, "padding": 1}], "project": True}, IMAGE, (8, 4, 4)),
    ({"repeat": 3, "layers": [{"linear": 5}, "tanh"]}, FLAT, (5,)),
    ({"lstm": 3}, SEQUENCE, (3,)),
    ({"lstm": 3, "layers": 2, "bidirectional": True, "output": "all"}, SEQUENCE, (6, 6)),
    ({"gru": 3, "bidirectional": True}, SEQUENCE, (6,)),
    ({"gru": 3, "output": "all"}, SEQUENCE, (6, 3)),
    ({"transformer": 1}, SEQUENCE, (6, 5)),
    ({"transformer": 2, "width": 8, "positions": "rotary", "causal": True}, SEQUENCE, (6, 5)),
    ({"transformer": 5, "activation": "swiglu", "norm": "rmsnorm"}, SEQUENCE, (6, 5)),
    ({"transformer": 5, "pre_norm": False, "feedforward": 7, "bias": False}, SEQUENCE, (6, 5)),
    ({"embedding": 4, "positions": "learned"}, TOKENS, (6, 4)),
    ({"embedding": 5, "positions": "sinusoidal"}, TOKENS, (6, 5)),
    ("globalpool", STEPS, (5,)),
    ({"globalpool": "last"}, STEPS, (5,)),
    ({"repeat": 2, "layers": [{"transformer": 1}]}, STEPS, (6, 5)),
    ({"residual": [{"transformer": 1}, {"linear": 4}], "project": True}, STEPS, (6, 4)),
]


@dataclass(frozen=True)
class Root:
    layers: tuple[Layer, ...] = blocks(LAYERS)


def read(*items: Any) -> tuple[Layer, ...]:
    return Language(Root).of({"layers": list(items)}).layers


def build(item: Any, inputs: Inputs) -> Part:
    return read(item)[0].build(inputs, 3)


def batch(inputs: Inputs, rows: int = 5) -> torch.Tensor:
    """Random numbers; whole ones where an embedding reads codes."""
    x = torch.randn(rows, *inputs.shape)
    if inputs in (CODES, TOKENS):
        x = torch.randint(0, 9, x.shape).float()
    for column, codes in inputs.categories.items():
        assert inputs.names
        x[:, inputs.names.index(column)] = torch.randint(0, codes, (rows,)).float()
    return x


def kind_of(item: Any) -> str:
    return item if isinstance(item, str) else str(next(iter(item)))


def test_every_layer_of_the_table_has_a_case() -> None:
    assert {kind_of(item) for item, _, _ in CASES} == set(LAYERS)


@pytest.mark.parametrize(("item", "inputs", "shape"), CASES, ids=lambda v: str(v)[:50])
def test_it_has_the_predicted_shape_and_learns(
    item: Any, inputs: Inputs, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    part = build(item, inputs)
    x = batch(inputs)
    y = part.module(x)
    assert part.after.shape == shape
    assert tuple(y.shape) == (len(x), *shape)
    if not list(part.module.parameters()):
        return
    (y * torch.randn_like(y)).sum().backward()
    for name, parameter in part.module.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(("item", "inputs", "shape"), CASES, ids=lambda v: str(v)[:50])
def test_its_axes_describe_its_tensors(item: Any, inputs: Inputs, shape: tuple[int, ...]) -> None:
    part = build(item, inputs)
    state = part.module.state_dict()
    for name, axes in part.axes.items():
        for axis in axes:
            assert axis.role == "output" or len(axis.names) == state[name].shape[axis.dim]
    assert part.after.names is None or (len(part.after.names),) == shape


@pytest.mark.parametrize(("item", "inputs", "shape"), CASES, ids=lambda v: str(v)[:50])
def test_samples_do_not_see_each_other_in_eval(
    item: Any, inputs: Inputs, shape: tuple[int, ...]
) -> None:
    module = build(item, inputs).module.eval()
    x = batch(inputs)
    torch.testing.assert_close(module(x)[2:3], module(x[2:3]))
    assert module(x).shape[1:] == shape


BAD: list[tuple[Any, Inputs, str]] = [
    ({"conv2d": 8}, Inputs((64,)), "[channels, height, width], gets [64]; add `reshape"),
    ({"conv1d": 8}, FLAT, "add `reshape: [1, 12]`"),
    ({"conv2d": 8, "kernel": 9}, IMAGE, "room for a window of 9"),
    ({"conv2d": 9, "groups": 3}, IMAGE, "divide by groups=3"),
    ({"linear": 8}, Inputs((0,)), "at least one feature"),
    ({"linear": 8}, IMAGE, "add `flatten`"),
    ("maxpool", FLAT, "[channels, length]"),
    ({"maxpool": 9}, IMAGE, "room for a window of 9"),
    ("globalpool", FLAT, "[channels, length]"),
    ({"globalpool": "last"}, SEQUENCE, "take `avg` or `max`"),
    ("maxpool", STEPS, "`globalpool` pools them"),
    ({"conv1d": 4}, STEPS, "`transformer`, `lstm` and `gru` go over them"),
    ("batchnorm", STEPS, "`layernorm`"),
    ({"transformer": 1}, FLAT, "[time, features], gets [12]; add `embedding`"),
    ({"transformer": 2}, SEQUENCE, "5 features cannot be split into 2 heads"),
    ({"transformer": 1, "positions": "rotary"}, SEQUENCE, "heads of an even size"),
    ({"embedding": 2, "vocabulary": 5}, TOKENS, "the tokenizer has 9 ids"),
    ({"embedding": 2, "positions": "learned"}, TABLE, "`positions` are for sequences"),
    ({"groupnorm": 5}, FLAT, "divide by 5 groups"),
    ("batchnorm", Inputs((1, 2, 3, 4)), "one to three dimensions"),
    ({"reshape": [5, 5]}, FLAT, "it has 12 numbers"),
    ({"reshape": [5, -1]}, FLAT, "it has 12 numbers"),
    ("embedding", FLAT, "no ordinal column"),
    ({"embedding": 2, "columns": ["age"]}, TABLE, "`age` is not an ordinal column"),
    ({"embedding": 2, "vocabulary": 9}, TABLE, "leave `vocabulary` out"),
    ({"residual": [{"linear": 7}]}, FLAT, "`project: true`"),
    ({"residual": ["flatten", {"linear": 7}], "project": True}, IMAGE, "no projection leads"),
    ({"lstm": 8}, FLAT, "[time, features], gets [12]"),
]


@pytest.mark.parametrize(("item", "inputs", "said"), BAD, ids=lambda v: str(v)[:50])
def test_a_layer_that_does_not_fit_says_so(item: Any, inputs: Inputs, said: str) -> None:
    with pytest.raises(MisfitError) as caught:
        assemble(read(item), inputs, 3)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"model.layers.0 ({kind_of(item)}): ")


def test_the_place_of_a_nested_misfit_is_given() -> None:
    layers = read("relu", {"repeat": 2, "layers": [{"linear": 9}, {"conv2d": 8}]})
    with pytest.raises(MisfitError, match=r"model\.layers\.1\.layers\.1 \(conv2d\): expects"):
        assemble(layers, FLAT, 3)


@pytest.mark.parametrize(
    "item",
    [
        {"conv2d": 8, "padding": "same", "stride": 2},
        {"conv2d": 8, "groups": 3},
        {"maxpool": 2, "padding": 2},
        {"reshape": [0, 3]},
        {"reshape": [-1, -1]},
        {"reshape": []},
        {"embedding": 2, "columns": ["a"], "vocabulary": 3},
        {"embedding": 2, "columns": []},
        {"embedding": 2, "columns": ["a", "a"]},
        {"residual": []},
        {"repeat": 2, "layers": []},
        {"repeat": 2},
        {"residual": [{"linear": 2, "as": "projection"}], "project": True},
        {"dropout": 1.0},
        {"linear": 0},
        {"linear": "in"},
        {"linear": 4, "tied": True},
        {"linear": "out", "tied": True, "init": "zeros"},
        {"transformer": 3, "width": 8},
        {"transformer": 4, "width": 4, "positions": "rotary"},
    ],
    ids=str,
)
def test_settings_that_do_not_go_together_are_refused(item: Any) -> None:
    with pytest.raises(ConfigError):
        read(item)


@pytest.mark.parametrize("kind", ["linear", "conv2d", "embedding"])
def test_init_is_applied(kind: str) -> None:
    inputs = {"linear": FLAT, "conv2d": IMAGE, "embedding": CODES}[kind]
    extra = {"vocabulary": 9} if kind == "embedding" else {}
    part = build({kind: 8, "init": "zeros", **extra}, inputs)
    assert all(not tensor.any() for tensor in part.module.state_dict().values())
    part = build({kind: 8, **extra}, inputs)
    assert all(tensor.any() for tensor in part.module.state_dict().values())


@pytest.mark.parametrize(
    ("init", "deviation"),
    [
        ("kaiming_normal", (2 / 400) ** 0.5),
        ("kaiming_uniform", (2 / 400) ** 0.5),
        ("xavier_normal", (2 / 600) ** 0.5),
        ("xavier_uniform", (2 / 600) ** 0.5),
        ("normal", 0.02),
    ],
)
def test_init_has_the_spread_of_its_formula(init: Init, deviation: float) -> None:
    torch.manual_seed(0)
    module = nn.Linear(400, 200)
    initialise(module, init)
    assert float(module.weight.detach().std()) == pytest.approx(deviation, rel=0.02)
    assert not module.bias.any()


def test_orthogonal_rows_are_orthonormal() -> None:
    module = nn.Linear(40, 20)
    initialise(module, "orthogonal")
    torch.testing.assert_close(module.weight @ module.weight.T, torch.eye(20), atol=1e-5, rtol=0)


def test_residual_adds_its_input() -> None:
    part = build({"residual": [{"linear": 12, "as": "fc"}]}, FLAT)
    x = batch(FLAT)
    torch.testing.assert_close(part.module(x), x + part.module.get_submodule("fc")(x))
    part = build({"residual": [{"linear": 7, "as": "fc"}], "project": True}, FLAT)
    fc, skip = part.module.get_submodule("fc"), part.module.get_submodule("projection")
    torch.testing.assert_close(part.module(x), fc(x) + skip(x))


def test_repeats_have_weights_of_their_own_and_an_index() -> None:
    part = build({"repeat": 2, "layers": [{"linear": 12, "as": "fc"}, "relu"]}, FLAT)
    assert list(part.module.state_dict()) == [
        "1.fc.weight",
        "1.fc.bias",
        "2.fc.weight",
        "2.fc.bias",
    ]
    state = part.module.state_dict()
    assert not torch.equal(state["1.fc.weight"], state["2.fc.weight"])


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_last_state_of_both_directions(kind: str) -> None:
    """Forwards the state after the last step, backwards the one after the first."""
    last = build({kind: 3, "bidirectional": True}, SEQUENCE).module
    every = build({kind: 3, "bidirectional": True, "output": "all"}, SEQUENCE).module
    every.load_state_dict(last.state_dict())
    x = batch(SEQUENCE)
    states = every(x)
    torch.testing.assert_close(last(x), torch.cat([states[:, -1, :3], states[:, 0, 3:]], 1))


def test_rmsnorm_and_softmax_follow_their_formulas() -> None:
    x = batch(SEQUENCE)
    rms = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(build("rmsnorm", SEQUENCE).module(x), rms)
    shares = x.exp() / x.exp().sum(-1, keepdim=True)
    torch.testing.assert_close(build("softmax", SEQUENCE).module(x), shares)


def test_global_pools() -> None:
    x = batch(IMAGE)
    torch.testing.assert_close(build("globalpool", IMAGE).module(x), x.mean((2, 3)))
    torch.testing.assert_close(build({"globalpool": "max"}, IMAGE).module(x), x.amax((2, 3)))
