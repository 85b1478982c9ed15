"""Whether a model can learn from one row, against what torch itself refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ftune.models.lone import alone, declared
from ftune.models.shapes import Inputs
from ftune.schema.root import LANGUAGE

FLAT, IMAGE = Inputs((6,)), Inputs((3, 5, 4))
OUT = {"linear": "out"}
CONV: list[Any] = [{"conv2d": 4}]

LAYERS: list[tuple[list[Any], Inputs, bool]] = [
    (["batchnorm", OUT], FLAT, True),
    ([{"linear": 8}, "batchnorm", "relu", OUT], FLAT, True),
    ([{"linear": 8}, "layernorm", {"groupnorm": 2}, "gelu", {"dropout": 0.1}, OUT], FLAT, False),
    ([{"residual": [{"linear": 6}, "batchnorm"]}, OUT], FLAT, True),
    ([{"repeat": {"times": 2, "layers": [{"linear": 6}, "batchnorm"]}}, OUT], FLAT, True),
    ([{"reshape": [2, 3]}, "batchnorm", "flatten", OUT], FLAT, False),
    ([{"reshape": [2, 3]}, {"linear": 4}, "batchnorm", "flatten", OUT], FLAT, False),
    ([{"reshape": [6, 1]}, {"reshape": [6]}, "batchnorm", OUT], FLAT, True),
    (["batchnorm", "flatten", OUT], IMAGE, False),
    ([*CONV, "batchnorm", "relu", "globalpool", OUT], IMAGE, False),
    ([*CONV, "batchnorm", "globalpool", "batchnorm", OUT], IMAGE, True),
    ([*CONV, "flatten", "batchnorm", OUT], IMAGE, True),
    ([{"conv2d": 4, "kernel": 4}, {"maxpool": 1}, "flatten", OUT], IMAGE, False),
]  # fmt: skip


def model_of(layers: Any, name: str = "sequential", **settings: Any) -> Any:
    plain: dict[str, Any] = {"name": name, **({"layers": layers} if layers else {}), **settings}
    data = {"source": "npz", "path": "a.npz", "target": "y"}
    return LANGUAGE.of({"task": "classification", "data": data, "model": plain}).model


def refused(model: nn.Module, x: Tensor) -> bool:
    """Whether torch's own check of a training step refuses one row."""
    try:
        model.train()(x)
    except ValueError as error:
        assert "Expected more than 1 value per channel when training" in str(error)
        return True
    return False


@pytest.mark.parametrize(("layers", "inputs", "fails"), LAYERS)
def test_one_row_fails_where_torch_says_so(layers: Any, inputs: Inputs, fails: bool) -> None:
    schema = model_of(layers)
    model, x = schema.build(inputs, 3).module, torch.randn(1, *inputs.shape)
    assert bool(alone(model, [], x)) == refused(model, x) == fails
    assert model.training
    certain = bool(declared(schema, True if inputs is FLAT else None))
    assert certain == fails, "a table is told from its layers alone"


def test_what_is_not_certain_is_left_to_the_model() -> None:
    narrow = model_of([{"conv2d": 4, "kernel": 4}, {"batchnorm": {}}, "flatten", OUT])
    assert not declared(narrow, None)
    model = narrow.build(Inputs((3, 4, 4)), 2).module
    x = torch.randn(1, 3, 4, 4)
    assert alone(model, [], x) == "batchnorm1" and refused(model, x)
    assert not declared(model_of(["batchnorm", "flatten", OUT]), None)  # arrays may be images
    assert declared(model_of(["batchnorm", "flatten", OUT]), True) == "model.layers.0"


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"norm": "batchnorm"}, "model.norm"),
        ({"norm": "layernorm"}, ""),
        ({"norm": "batchnorm", "depth": 0}, ""),
        ({"norm": "batchnorm", "hidden": []}, ""),
        ({"norm": "batchnorm", "hidden": [4]}, "model.norm"),
    ],
)
def test_a_perceptron(settings: dict[str, Any], key: str) -> None:
    schema = model_of(None, "mlp", **settings)
    model, x = schema.build(FLAT, 3).module, torch.randn(1, 6)
    assert declared(schema, None) == key
    assert bool(alone(model, [], x)) == refused(model, x) == bool(key)


def test_what_rests_goes_by_its_running_statistics() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6)), nn.BatchNorm1d(6))
    x = torch.randn(1, 4)
    before = [buffer.clone() for buffer in model.buffers()]
    assert alone(model, [], x) == "0.1"
    assert alone(model, [model[0]], x) == "1"
    assert alone(model, [model[0], model[1]], x) == ""
    assert all(map(torch.equal, before, model.buffers()))
    assert not any(m._forward_pre_hooks for m in model.modules())
