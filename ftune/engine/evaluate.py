"""Scores of a model on a set, by streaming it once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from ftune.models.call import call, counted


class Metric(Protocol):
    """Adds up what a metric needs, batch by batch."""

    def update(self, outputs: Tensor, batch: Mapping[str, Tensor]) -> None: ...
    def compute(self) -> dict[str, float]: ...


def evaluate(
    model: nn.Module, metrics: Metric, batches: Iterable[Mapping[str, Tensor]]
) -> dict[str, float]:
    """Return the metrics over all rows of `batches`."""
    with inference(model):
        for batch in batches:
            outputs, counting = counted(model, batch)
            metrics.update(outputs.float(), counting)
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
