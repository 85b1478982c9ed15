"""What holds for every task: exact sums, no graph kept, devices, targets by row or by position."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ftune.errors import DataError
from ftune.tasks import TASKS
from ftune.tasks.classification import Classification
from ftune.tasks.classification_task import ClassificationTask
from ftune.tasks.language import CausalLm
from ftune.tasks.language_task import LanguageModelTask
from ftune.tasks.multi_label_task import MultiLabelTask
from ftune.tasks.regression import Regression
from ftune.tasks.regression_task import RegressionTask
from ftune.tasks.tagging import TokenClassification
from ftune.tasks.tagging_task import TaggingTask

HUGE = 2.0**26
"""A loss beside which float32 no longer sees one of a few units."""
BUILDS: dict[str, Callable[[], Any]] = {
    "classification": lambda: ClassificationTask(("no", "yes"), None, 0.0, None),
    "weighted classes": lambda: ClassificationTask(("no", "yes"), (1.0, 3.0), 0.0, 1),
    "labels": lambda: MultiLabelTask(("hot", "wet"), None, 0.0, 0.5),
    "weighted labels": lambda: MultiLabelTask(("hot", "wet"), (1.0, 3.0), 0.1, 0.5),
    "regression": lambda: RegressionTask(("a", "b"), "mse", 1.0, lambda x: x),
    "token-classification": lambda: TaggingTask(("O", "B-P"), 0.0),
    "causal-lm": lambda: LanguageModelTask(2, 0.0),
}


def rows(name: str, outputs: Tensor) -> dict[str, Tensor]:
    """A batch for two outputs, in which the first class, or no label, is true."""
    if name == "regression":
        return {"y": torch.zeros_like(outputs), "raw": torch.zeros(len(outputs), 2).double()}
    if "labels" in name:
        return {"y": torch.zeros_like(outputs)}
    y = torch.zeros(len(outputs), dtype=torch.long, device=outputs.device)
    return {"y": y, "row": torch.arange(len(outputs))}


def reference(name: str, outputs: Tensor) -> float:
    """torch's loss in float64 over all rows at once, where it is neither weighted nor smoothed."""
    outputs, y = outputs.double(), rows(name, outputs)["y"]
    if name == "regression":
        return float(F.mse_loss(outputs, y.double()))
    if name == "labels":
        return float(F.binary_cross_entropy_with_logits(outputs, y.double()))
    return float(F.cross_entropy(outputs, y))


@pytest.mark.parametrize("name", [name for name in BUILDS if "weighted" not in name])
def test_a_huge_loss_does_not_swallow_small_ones(name: str) -> None:
    size = math.sqrt(HUGE) if name == "regression" else HUGE
    low = -100.0 if name == "labels" else 0.0  # a label that costs nothing
    outputs = torch.tensor([[low, size], *[[low, 1.5]] * 64])
    task = BUILDS[name]()
    metrics = task.metrics()
    for row in torch.split(outputs, 1):
        metrics.update(row, rows(name, row))
    found, expected = metrics.compute()["loss"], reference(name, outputs)
    assert found == pytest.approx(expected, rel=1e-9)
    in_float32 = torch.zeros(())
    for row in torch.split(outputs, 1):
        in_float32 = in_float32 + task.loss(row, rows(name, row))[0]
    count = task.loss(outputs, rows(name, outputs))[1]
    assert float(in_float32) / count != pytest.approx(expected, rel=1e-9), "the negative control"


def test_a_huge_class_weight_does_not_swallow_small_ones() -> None:
    task = ClassificationTask(("no", "yes"), (HUGE, 1.0), 0.0, None)
    metrics, outputs = task.metrics(), torch.zeros(1, 2)
    for y in [0, *[1] * 64]:
        metrics.update(outputs, {"y": torch.tensor([y])})
    assert float(metrics.weight) == HUGE + 64
    assert metrics.compute()["loss"] == pytest.approx(math.log(2), rel=1e-6)


@pytest.mark.parametrize(("name", "share"), [("causal-lm", "accuracy"), ("labels", "exact")])
def test_counts_beyond_float32_are_exact(name: str, share: str) -> None:
    """Of 2^24 + 1 rows all but one are right, after which float32 cannot count on."""
    metrics: Any = BUILDS[name]().metrics()
    right, wrong = torch.tensor([[0.0, -1.0]]) - 1, torch.tensor([[0.0, 1.0]])
    metrics.update(wrong, rows(name, wrong))
    for counter in {"causal-lm": ("right", "tokens"), "labels": ("exact", "rows")}[name]:
        setattr(metrics, counter, getattr(metrics, counter) + 2**24)
    metrics.update(right, rows(name, right))
    assert metrics.compute()[share] == (2**24 + 1) / (2**24 + 2)


@pytest.mark.parametrize("name", BUILDS)
def test_meters_keep_no_graph_and_predictions_need_no_detaching(name: str) -> None:
    task, outputs = BUILDS[name](), torch.randn(4, 2, requires_grad=True)
    metrics = task.metrics()
    metrics.update(outputs, rows(name, outputs))
    held = [value for value in vars(metrics).values() if isinstance(value, Tensor)]
    held += [tensor for pair in getattr(metrics, "scores", ()) for tensor in pair]
    assert held and not any(tensor.requires_grad for tensor in held)
    assert task.loss(outputs, rows(name, outputs))[0].requires_grad
    if name != "causal-lm":
        arrays = [c for c in task.predictions(outputs).values() if isinstance(c, np.ndarray)]
        assert arrays or name == "token-classification"


@pytest.mark.parametrize("name", [name for name in BUILDS if "weighted" in name])
def test_weights_go_where_the_outputs_are(name: str) -> None:
    """`meta` refuses, as a GPU does, to work with what lies on the CPU."""
    task, outputs = BUILDS[name](), torch.zeros(3, 2, device="meta")
    with pytest.raises(RuntimeError, match="device"):
        outputs * torch.ones(2)
    assert task.loss(outputs, rows(name, outputs))[0].device.type == "meta"
    assert task.weights.device.type == "meta"


@pytest.mark.parametrize("name", BUILDS)
def test_targets_are_by_row_but_for_tags_and_tokens(name: str) -> None:
    assert BUILDS[name]().positions is (name in ("token-classification", "causal-lm"))


def test_every_variant_builds_its_task() -> None:
    settings: dict[str, dict[str, Any]] = {"classification": {}, "regression": {}}
    y, names = torch.tensor([0, 1, 1]), ("no", "yes")
    made = {
        name: TASKS[name](**settings.get(name, {})).build(names, ("y",), y, lambda x: x, 7)
        for name in TASKS
    }
    assert {name: (type(task), task.outputs) for name, task in made.items()} == {
        "classification": (ClassificationTask, 2), "regression": (RegressionTask, 1),
        "causal-lm": (LanguageModelTask, 7), "token-classification": (TaggingTask, 2),
    }  # fmt: skip
    kinds = {name: TASKS[name]().target_kind for name in TASKS}
    assert kinds == {"classification": "classes", "regression": "numbers", "causal-lm": "tokens",
                     "token-classification": "tags"}  # fmt: skip
    smooth = TokenClassification(0.3).build(names, ("y",), None, lambda x: x, 0)
    outputs = torch.randn(3, 2)
    torch.testing.assert_close(
        smooth.loss(outputs, {"y": y})[0] / 3, F.cross_entropy(outputs, y, label_smoothing=0.3)
    )
    assert CausalLm(0.3).build((), (), None, lambda x: x, 7).smoothing == 0.3


def test_metrics_that_may_be_named_are_those_of_the_meter() -> None:
    schemas: dict[str, Any] = {
        "weighted classes": Classification(), "labels": Classification(multi_label=True),
        "regression": Regression(), "token-classification": TokenClassification(),
        "causal-lm": CausalLm(),
    }  # fmt: skip
    for name, schema in schemas.items():
        plain = {metric for metric in BUILDS[name]().directions if "/" not in metric}
        assert set(schema.metrics) == plain, name
        assert (
            schema.main[0] in plain and schema.main[1] == BUILDS[name]().directions[schema.main[0]]
        )


def test_one_tag_is_refused() -> None:
    with pytest.raises(DataError, match=r"one tag only \(O\); two are needed"):
        TokenClassification().build(("O",), ("tags",), None, lambda x: x, 0)


def test_texts_are_not_predicted_row_by_row() -> None:
    with pytest.raises(NotImplementedError, match="3 rows: generate instead"):
        BUILDS["causal-lm"]().predictions(torch.zeros(3, 2))
    assert BUILDS["causal-lm"]().metrics().details() == []
