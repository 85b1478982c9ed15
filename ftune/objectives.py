"""What a step minimises, as a value that knows nothing of steps, models or processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn

from ftune.models.call import targets
from ftune.models.chunked import chunked_sum

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


@dataclass(frozen=True)
class ChunkedObjective:
    """The loss of a task over positions, of which at most `rows` have their outputs at once.

    Its forward returns what reaches the output layer (models.call.counted_states). loss: additive
    over positions, its weight their number.
    """

    head: nn.Module
    loss: Callable[[Any, Batch], tuple[Tensor, Weight]]
    rows: int
    weigh: Callable[[Batch], Weight] = targets

    def __call__(self, forward: Forward, batch: Batch) -> Loss:
        states, counting = forward(batch)
        if len(states) <= self.rows:
            return Loss(*self.loss(self.head(states), counting))

        def sum_of(outputs: Tensor, chunk: slice) -> Tensor:
            return self.loss(outputs, {"y": counting["y"][chunk]})[0]

        summed = chunked_sum(states, self.head, sum_of, self.rows)
        return Loss(summed, float(len(states)))

    def measure(self, batch: Batch) -> Weight:
        return self.weigh(batch)
