"""Metrics of the user's beside a task's own: all rows of a split, compared once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ftune.tasks.protocol import Batch, Direction, Task

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class Counter(Protocol):
    """What one metric has seen of a split."""

    def update(self, answers: Mapping[str, np.ndarray]) -> None: ...
    def state(self) -> Any: ...
    def merge(self, state: Any) -> None: ...
    def compute(self) -> float: ...


class OwnMetric(Protocol):
    """A metric with its settings."""

    @property
    def name(self) -> str: ...
    @property
    def direction(self) -> Direction: ...
    def counter(self, classes: tuple[str, ...]) -> Counter: ...


class WithMetrics:
    """A task that is judged by `metrics` too; in all else the task itself."""

    def __init__(self, task: Task, metrics: Sequence[OwnMetric]) -> None:
        self.task, self.own_metrics = task, metrics
        more = {metric.name: metric.direction for metric in metrics}
        self.directions: Mapping[str, Direction] = {**task.directions, **more}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def metrics(self) -> MetricsWithOwn:
        return MetricsWithOwn(self.task, self.own_metrics)


class MetricsWithOwn:
    """The task's metrics, and a counter for each metric."""

    def __init__(self, task: Task, metrics: Sequence[OwnMetric]) -> None:
        self.task, self.metrics = task, task.metrics()
        self.counters = {metric.name: metric.counter(task.output_names) for metric in metrics}

    def update(self, outputs: Tensor, batch: Batch) -> None:
        self.metrics.update(outputs, batch)
        tensors = self.task.answers(outputs.detach(), batch)
        answers = {name: tensor.numpy(force=True) for name, tensor in tensors.items()}
        for counter in self.counters.values():
            counter.update(answers)

    def state(self) -> dict[str, Any]:
        own = {name: counter.state() for name, counter in self.counters.items()}
        return {"task": self.metrics.state(), "own": own}

    def merge(self, state: Mapping[str, Any]) -> None:
        self.metrics.merge(state["task"])
        for name, counter in self.counters.items():
            counter.merge(state["own"][name])

    def compute(self) -> dict[str, float]:
        own = {name: counter.compute() for name, counter in self.counters.items()}
        return self.metrics.compute() | own

    def details(self) -> list[dict[str, Any]]:
        return self.metrics.details()


def with_metrics(task: Task, metrics: Sequence[OwnMetric]) -> Task:
    """The task itself where there is nothing to add."""
    judged: Any = WithMetrics(task, metrics) if metrics else task
    extended: Task = judged
    return extended
