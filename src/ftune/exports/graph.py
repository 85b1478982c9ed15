"""A model as a graph with named inputs, of any batch size and, for texts, any length."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from ftune.errors import RunFailedError
from ftune.exports.subject import Batch, Subject


class TextGraph(nn.Module):
    """input_ids, attention_mask: int64 [batch, time]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        found: Tensor = self.model(input_ids, attention_mask)
        return found


class RowGraph(nn.Module):
    """x: [batch, …], as the pipeline makes it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.model(x)
        return found


@dataclass(frozen=True)
class Graph:
    """A traced model. output: what its one output is called."""

    program: ExportedProgram
    output: str


def trace(subject: Subject) -> Graph:
    """Raises RunFailedError for a model whose steps depend on its numbers."""
    text = bool(subject.predictor.pipeline.features.vocabulary)
    module = (TextGraph if text else RowGraph)(subject.plain).eval()
    largest = max(subject.examples, key=lambda batch: batch["x"].numel())
    given = named(largest)
    batch, time = Dim("batch"), Dim("time", max=subject.predictor.pipeline.features.shape[0])
    shapes = {name: {0: batch, 1: time} if text else {0: batch} for name in given}
    try:
        with still(), torch.no_grad():
            program = torch.export.export(module, (), given, dynamic_shapes=shapes)
    except Exception as error:  # noqa: BLE001 - whatever the user's own module raises under tracing
        raise RunFailedError(f"torch.export cannot trace this model: {_reason(error)}") from None
    numbers = subject.predictor.pipeline.target.kind == "numbers"
    return Graph(program, "values" if numbers else "logits")


def named(batch: Batch) -> dict[str, Tensor]:
    """A batch under the names that the graph's inputs have."""
    if "segments" in batch:
        return {"input_ids": batch["x"], "attention_mask": batch["segments"]}
    return {"x": batch["x"]}


@contextmanager
def still() -> Iterator[None]:
    """The exporters speak of their own innards: deprecations, kernels of packages not installed."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _reason(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
