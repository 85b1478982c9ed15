"""What a step minimises, as a value that knows nothing of steps, models or processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from ftune.models.call import targets

Batch = Mapping[str, Tensor]
Weight = Tensor | float

Forward = Callable[[Batch], tuple[Any, Batch]]
"""A batch -> the outputs at what its targets count, and the batch there (models.call.counted)."""


@dataclass(frozen=True)
class Loss:
    """The loss of a micro-batch.

    sum: of the losses of all that counts, a scalar. weight: what they weigh together, rows or
    tokens by default. parts: summands of `sum` by name, for the log.
    """

    sum: Tensor
    weight: Weight
    parts: Mapping[str, Tensor] = field(default_factory=dict)


class Objective(Protocol):
    """Computes the loss of a batch by as many forward passes as it needs."""

    def __call__(self, forward: Forward, batch: Batch) -> Loss: ...

    def measure(self, batch: Batch) -> Weight:
        """A number in proportion to what a batch weighs, before its loss is known."""


@dataclass(frozen=True)
class TaskObjective:
    """The loss of a task after one forward pass.

    loss: (outputs, batch) -> the sum of the losses and their weight. weigh: see `measure`.
    """

    loss: Callable[[Any, Batch], tuple[Tensor, Weight]]
    weigh: Callable[[Batch], Weight] = targets

    def __call__(self, forward: Forward, batch: Batch) -> Loss:
        return Loss(*self.loss(*forward(batch)))

    def measure(self, batch: Batch) -> Weight:
        return self.weigh(batch)
