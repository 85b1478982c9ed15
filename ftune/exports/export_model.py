"""A trained model on its way out, and example inputs that it takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ftune.adapt.merge import folded
from ftune.adapt.quantize import is_quantised, plain_weight
from ftune.data.features import Features
from ftune.data.text.pipeline import TextPipeline
from ftune.data.text.tokenizer import Tokenizer
from ftune.models.call import arguments
from ftune.predictor import Predictor
from ftune.runs.base import Base
from ftune.runtime.versions import ftune_version
from ftune.security.redact import redact_tree

Batch = dict[str, Tensor]
BATCHES = ((1, 5), (2, 12), (5, 8))  # rows and, of texts, positions


@dataclass(frozen=True)
class ExportModel:
    """base: as stored. predictor: in use. apart: whether adapters are written as they are."""

    base: Base
    predictor: Predictor
    apart: bool = False

    @property
    def model(self) -> nn.Module:
        """As trained, adapters and all, for evaluation on the CPU."""
        return self.predictor.built.module

    @property
    def adapted(self) -> bool:
        return bool(self.base.card.edits)

    @cached_property
    def merged(self) -> tuple[nn.Module, list[str]]:
        """The plain model, and the modules whose weights are no longer shared with others."""
        model, untied = folded(self.model)
        dequantised(model)
        return model.requires_grad_(False), untied

    @property
    def plain(self) -> nn.Module:
        """The model with its adapters merged, nothing quantised: what others can load."""
        return self.merged[0]

    @property
    def kind(self) -> str:
        """What kind of transformers model it is; "" for all others."""
        return str(self.predictor.built.model_card.get("kind", ""))

    @property
    def inner(self) -> Any:
        """Of a transformers model, plain, what its library calls the model."""
        model: Any = self.plain
        inner = model.lm if self.kind == "causal-lm" else model.encoder
        inner.config.pad_token_id = self.tokenizer.pad  # by which some look for the last token
        out = inner.get_output_embeddings()
        if out is not None and out.weight is not inner.get_input_embeddings().weight:
            inner.config.get_text_config().tie_word_embeddings = False
        return inner

    @property
    def tokenizer(self) -> Tokenizer:
        pipeline = self.predictor.pipeline
        assert isinstance(pipeline, TextPipeline)
        return pipeline.tokenizer

    @cached_property
    def examples(self) -> list[Batch]:
        """Random inputs as the pipeline makes them, in batches of several sizes."""
        random = torch.Generator().manual_seed(0)
        features = self.predictor.pipeline.features
        pad = self.tokenizer.pad if features.vocabulary else 0
        return [example(features, rows, time, pad, random) for rows, time in BATCHES]

    def about(self) -> dict[str, str]:
        """What the inputs and outputs of a bare graph mean, as names and JSON."""
        pipeline, task = self.predictor.pipeline, self.predictor.task
        facts: dict[str, Any] = {
            "task": redact_tree(self.base.meta["config"]["task"]),
            "inputs": pipeline.features.names or list(pipeline.features.shape),
            "outputs": task.output_names,
            "classes": pipeline.target.classes,
            "target": pipeline.target.names,
            "pipeline": pipeline.to_json(),
            "version": ftune_version(),
        }
        return {f"ftune.{name}": json.dumps(fact) for name, fact in facts.items()}


def example(features: Features, rows: int, time: int, pad: int, random: torch.Generator) -> Batch:
    """Ids with padding at the end; else numbers around 0, as scaled inputs are, and codes."""
    if features.vocabulary or features.ragged:
        time = min(time, features.shape[0])
        lengths = torch.randint(1, time + 1, (rows, 1), generator=random)
        lengths[0] = time
        segments = (torch.arange(time) < lengths).long()
        if features.ragged:
            x = torch.randn(rows, time, features.shape[1], generator=random)
            return {"x": x * segments[..., None], "segments": segments}
        x = torch.randint(features.vocabulary - 1, (rows, time), generator=random)
        x += x >= pad  # any id but the padding
        return {"x": torch.where(segments > 0, x, pad), "segments": segments}
    x = torch.randn(rows, *features.shape, generator=random)
    for index, name in enumerate(features.names or ()):
        if name in features.categories:
            codes = torch.randint(features.categories[name], x[..., index].shape, generator=random)
            x[..., index] = codes
    return {"x": x}


def dequantised(model: nn.Module) -> None:
    """Plain weights in the place of those of 8 or 4 bits."""
    for module in model.modules():
        weight = module._parameters.get("weight")
        if weight is not None and is_quantised(weight):
            module._parameters["weight"] = nn.Parameter(plain_weight(weight), False)


@torch.no_grad()
def outputs(model: nn.Module, batch: Batch) -> Tensor:
    """What the model gives for a batch."""
    logits: Tensor = model(*arguments(batch))
    return logits
