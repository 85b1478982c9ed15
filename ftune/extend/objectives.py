"""Registered objectives: what a step minimises, by as many forward passes as the user likes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ftune.errors import RequestError
from ftune.extend.signature import Own, faults_in, place, schema_of
from ftune.tasks import OBJECTIVES

if TYPE_CHECKING:
    from ftune.objectives import Batch, Forward, Loss, Weight


class OwnObjective(Own):
    """An objective of the user's."""

    def __call__(self, forward: Forward, batch: Batch) -> Loss:
        """Raises RequestError for an answer that is no loss, OutOfMemoryError."""
        from ftune.runtime.memory import memory

        # Lack of memory is no fault of the user's code: smaller micro-batches may do.
        memory_of = memory("a micro-batch", shrinks=True)
        with faults_in(self.made), memory_of:
            answer = type(self).made(forward=forward, batch=batch, **self.arguments)
        return self._checked(answer)

    def measure(self, batch: Batch) -> Weight:
        """Rows, or the positions that count."""
        from ftune.models.call import targets

        return targets(batch)

    def _checked(self, answer: Any) -> Loss:
        from torch import Tensor

        from ftune.objectives import Loss

        total, weight, parts = (
            (*answer, {})[:3] if isinstance(answer, tuple) else (answer, None, {})
        )
        scalars = [total, *(parts.values() if isinstance(parts, Mapping) else [None])]
        if _number(weight) and all(isinstance(s, Tensor) and not s.dim() for s in scalars):
            return Loss(total, weight, parts)
        shape = f" {list(answer.shape)}" if isinstance(answer, Tensor) else ""
        raise RequestError(
            f"{place(self.made)}: the objective gives {type(answer).__name__}{shape}; it must give"
            " (the sum of the losses, a tensor without dimensions; their weight, as the number of"
            " rows; and, if it likes, a mapping of names to parts of the sum, tensors too)"
        )


def _number(weight: Any) -> bool:
    dimensions = getattr(weight, "dim", None)
    return not dimensions() if dimensions else isinstance(weight, int | float)


def own_objective(name: str, made: Callable[..., Any]) -> type:
    """The schema of a function (forward, batch). Raises RequestError for another signature."""
    if not {"forward", "batch"} <= set(inspect.signature(made).parameters):
        raise RequestError(f"{place(made)}: the objective `{name}` must take (forward, batch)")
    return schema_of(OwnObjective, made, ("forward", "batch"), reserved=(OBJECTIVES.block, "name"))
