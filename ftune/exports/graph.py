"""A model as a graph with named inputs, of any batch size and, for texts, any length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.nn import functional as F

from ftune.errors import RunFailedError
from ftune.exports.export_model import Batch, ExportModel
from ftune.log_suppression import quiet
from ftune.models.tokens import pool

POOLS = {"mean": "avg", "cls": "first"}


class _Around(nn.Module):
    """A model; its graphs differ in what their inputs are called."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model


class TextGraph(_Around):
    """input_ids, attention_mask: int64 [batch, time]; the mask is 1 or, for padding, 0."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        outputs: Tensor = self.model(input_ids, attention_mask)
        return outputs


class SequenceGraph(_Around):
    """x: float32 [batch, time, features]; the mask as of texts."""

    def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        outputs: Tensor = self.model(x, attention_mask)
        return outputs


class LibraryGraph(_Around):
    """The same around a transformers model that gives logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.more = {"use_cache": False} if hasattr(model, "generate") else {}

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        outputs = self.model(input_ids=input_ids, attention_mask=attention_mask, **self.more)
        logits: Tensor = outputs.logits
        return logits


class EncoderGraph(nn.Module):
    """The same around an encoder with pooling and head."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.encoder, self.head = model.encoder, model.head
        self.pooling, self.normalize = model.pooling, model.normalize

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        outputs = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        vectors = pool(
            outputs.last_hidden_state, attention_mask, POOLS.get(self.pooling, self.pooling)
        )
        logits: Tensor = self.head(F.normalize(vectors, dim=-1) if self.normalize else vectors)
        return logits


class RowGraph(_Around):
    """x: [batch, …], as the pipeline makes it."""

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.model(x)
        return outputs


@dataclass(frozen=True)
class Graph:
    """A traced model. output: what its one output is called."""

    program: ExportedProgram
    output: str


def trace(export_model: ExportModel) -> Graph:
    """Raises RunFailedError for a model whose steps depend on its numbers."""
    features = export_model.predictor.pipeline.features
    text = bool(features.vocabulary) or features.ragged
    module = _module(export_model, text).eval()
    largest = max(export_model.examples, key=lambda batch: batch["x"].numel())
    given = named(largest)
    batch, time = Dim("batch"), Dim("time", max=features.shape[0])
    shapes = {name: {0: batch, 1: time} if text else {0: batch} for name in given}
    try:
        with quiet(), torch.no_grad():
            program = torch.export.export(module, (), given, dynamic_shapes=shapes)
    except Exception as error:
        raise RunFailedError(
            f"torch.export cannot trace this model: {first_line(error)}; write safetensors or pt"
        ) from None
    numbers = export_model.predictor.pipeline.target.kind == "numbers"
    return Graph(program, "values" if numbers else "logits")


def _module(export_model: ExportModel, text: bool) -> nn.Module:
    if export_model.kind == "encoder":
        return EncoderGraph(export_model.plain)
    if export_model.kind:
        return LibraryGraph(export_model.inner)
    if not text:
        return RowGraph(export_model.plain)
    ragged = export_model.predictor.pipeline.features.ragged
    return SequenceGraph(export_model.plain) if ragged else TextGraph(export_model.plain)


def named(batch: Batch) -> dict[str, Tensor]:
    """A batch under the names that the graph's inputs have."""
    if "segments" in batch and batch["x"].is_floating_point():
        return {"x": batch["x"], "attention_mask": batch["segments"]}
    if "segments" in batch:
        return {"input_ids": batch["x"], "attention_mask": batch["segments"]}
    return {"x": batch["x"]}


def first_line(error: Exception) -> str:
    """What an exporter says, without its pages of advice."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
