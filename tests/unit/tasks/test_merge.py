"""Metrics of several processes: merged states give the metrics of all rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from ftune.distributed.group import Solo
from ftune.engine.evaluate import evaluate_ranks
from ftune.tasks.classification_task import ClassificationTask
from ftune.tasks.language_task import LanguageModelTask
from ftune.tasks.multi_label_task import MultiLabelTask
from ftune.tasks.own import with_metrics
from ftune.tasks.regression_task import RegressionTask
from ftune.tasks.tagging_task import TaggingTask

ROWS, OUTPUTS = 13, 3
NEAR = 1e-6
"""A batch sums its losses in float32; sums over batches are exact to float64."""
TASKS: dict[str, Callable[[], Any]] = {
    "classes": lambda: ClassificationTask(("a", "b", "c"), (0.5, 2.0, 1.0), 0.1, None),
    "binary": lambda: ClassificationTask(("no", "yes"), None, 0.0, 1),
    "labels": lambda: MultiLabelTask(("a", "b", "c"), None, 0.0, 0.5),
    "regression": lambda: RegressionTask(("a", "b", "c"), "mse", 1.0, lambda x: 10 + 3 * x),
    "tags": lambda: TaggingTask(("O", "B-P", "I-P"), 0.0),
    "tokens": lambda: LanguageModelTask(OUTPUTS, 0.0),
}


def batch(name: str) -> tuple[Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    outputs = torch.randn(ROWS, 2 if name == "binary" else OUTPUTS, generator=generator)
    y = torch.randint(outputs.shape[1], (ROWS,), generator=generator)
    if name == "labels":
        y = torch.randint(2, outputs.shape, generator=generator).float()
    if name == "regression":
        y = torch.randn(outputs.shape, generator=generator)
    return outputs, {"y": y, "raw": 10 + 3 * y.double(), "row": torch.arange(ROWS) // 2}


def seen(task: Any, name: str, rows: Sequence[int]) -> Any:
    """Return metrics that saw these rows, some at a time."""
    outputs, whole = batch(name)
    metrics = task.metrics()
    for part in torch.split(torch.tensor(list(rows), dtype=torch.long), 4):
        metrics.update(outputs[part], {key: tensor[part] for key, tensor in whole.items()})
    return metrics


def shares(count: int) -> list[list[int]]:
    """Return pairs of rows (of one text) dealt to processes; the last gets none."""
    dealt: list[list[int]] = [[] for _ in range(count + 1)]
    for row in range(ROWS):
        dealt[row // 2 % count].append(row)
    return dealt


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_merged_metrics_are_those_of_all_rows(name: str, count: int) -> None:
    task = TASKS[name]()
    merged = task.metrics()
    for rows in shares(count):
        merged.merge(seen(task, name, rows).state())
    whole = seen(task, name, range(ROWS))
    assert merged.compute() == pytest.approx(whole.compute(), rel=NEAR)
    assert merged.details() == whole.details() or name == "regression"


@pytest.mark.parametrize("name", TASKS)
def test_nothing_merged_is_no_row(name: str) -> None:
    task = TASKS[name]()
    merged = task.metrics()
    merged.merge(task.metrics().state())
    assert all(math.isnan(value) or value == 0 for value in merged.compute().values())


@pytest.mark.parametrize("name", TASKS)
def test_a_state_without_its_counts_is_noticed(name: str) -> None:
    """The control: one process's rows are missing."""
    task = TASKS[name]()
    merged = task.metrics()
    for rows in shares(3)[1:]:
        merged.merge(seen(task, name, rows).state())
    assert merged.compute() != pytest.approx(seen(task, name, range(ROWS)).compute(), rel=1e-3)


class Ranks(Solo):
    """A group whose other ranks saw what was written down."""

    def __init__(self, states: list[Any]) -> None:
        self.states, self.world = states, len(states) + 1

    def gather(self, value: Any) -> list[Any]:
        return [value, *self.states]


def test_an_evaluation_merges_the_states_of_all_ranks() -> None:
    task, name = TASKS["classes"](), "classes"
    outputs, whole = batch(name)
    own, *others = shares(3)
    batches = [{"x": outputs[own], **{key: tensor[own] for key, tensor in whole.items()}}]
    states = [seen(task, name, rows).state() for rows in others]
    expected = seen(task, name, range(ROWS)).compute()
    model = torch.nn.Identity()
    scores = evaluate_ranks(model, task.metrics, batches, Ranks(states))
    assert scores == pytest.approx(expected, rel=NEAR)
    alone = evaluate_ranks(model, task.metrics, batches, Solo())
    assert alone != pytest.approx(expected, rel=1e-3)


class Median:
    """A metric of the user's that wants all rows."""

    name, direction = "median", "min"

    def counter(self, classes: tuple[str, ...]) -> Any:
        del classes
        return Answers()


class Answers:
    def __init__(self) -> None:
        self.rows: list[float] = []

    def update(self, answers: Any) -> None:
        self.rows += list(answers["targets"])

    def state(self) -> list[float]:
        return self.rows

    def merge(self, state: list[float]) -> None:
        self.rows = self.rows + state

    def compute(self) -> float:
        return float(torch.tensor(self.rows).median())


def test_own_metrics_see_the_rows_of_all_processes() -> None:
    task: Any = with_metrics(TASKS["classes"](), [Median()])  # type: ignore[list-item]
    merged = task.metrics()
    for rows in shares(2):
        merged.merge(seen(task, "classes", rows).state())
    whole = seen(task, "classes", range(ROWS)).compute()
    assert merged.compute() == pytest.approx(whole, rel=NEAR)
