"""Scores of a model on a set, by streaming it once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ftune.distributed.group import Group
from ftune.models.call import call, counted_in_chunks
from ftune.objectives import Batch

Passes = Callable[[Batch], Iterable[tuple[Tensor, Batch]]]
"""A batch -> the outputs at what its targets count, and the batch there, in pieces."""


class Metric(Protocol):
    """Adds up what a metric needs, batch by batch and process by process."""

    def update(self, outputs: Tensor, batch: Mapping[str, Tensor]) -> None: ...
    def state(self) -> Mapping[str, Any]: ...
    def merge(self, state: Mapping[str, Any]) -> None: ...
    def compute(self) -> dict[str, float]: ...


def evaluate(
    model: nn.Module, metrics: Metric, batches: Iterable[Mapping[str, Tensor]]
) -> dict[str, float]:
    """Return the metrics over all rows of `batches`."""
    observe(model, metrics, batches)
    return metrics.compute()


def observe(
    model: nn.Module, metrics: Metric, batches: Iterable[Mapping[str, Tensor]],
    passes: Passes | None = None,
) -> None:  # fmt: skip
    """Show metrics the model's outputs for all rows of `batches`, as `passes` gives them."""
    passes = passes or partial(counted_in_chunks, model)
    with inference(model):
        for batch in batches:
            for outputs, counting in passes(batch):
                metrics.update(outputs.float(), counting)


def evaluate_ranks(
    model: nn.Module,
    make: Callable[[], Metric],
    batches: Iterable[Mapping[str, Tensor]],
    group: Group,
    passes: Passes | None = None,
) -> dict[str, float]:
    """Return the metrics over the `batches` of all processes, the same on each.

    make: returns metrics that have seen nothing. passes: how the model is called, if not as it is.
    """
    metrics = make()
    observe(model, metrics, batches, passes)
    if group.world > 1:  # in order of rank, so that all round alike
        states, metrics = group.gather(metrics.state()), make()
        for state in states:
            metrics.merge(state)
    return metrics.compute()


def outputs(model: nn.Module, batches: Iterable[Mapping[str, Tensor]]) -> Tensor:
    """The model's outputs for every row, in order: [rows, outputs]."""
    with inference(model):
        return torch.cat([call(model, batch).float().cpu() for batch in batches])


@contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; each module gets back the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training
