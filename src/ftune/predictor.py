"""A trained model in use: from a run or a single file to metrics and predictions on new rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ftune.build import base_pipeline, restore_model
from ftune.data.frame import Frame
from ftune.data.pipeline import Pipeline
from ftune.data.prepare import read_split
from ftune.engine.evaluate import evaluate, outputs
from ftune.errors import CheckpointError
from ftune.models.shapes import Built
from ftune.runs.base import Base, load_base
from ftune.runtime.device import choose
from ftune.schema import LANGUAGE, RunConfig
from ftune.tasks.protocol import Task


@dataclass
class Predictor:
    """A model with the transforms it was trained with; rows in, predictions out."""

    config: RunConfig
    pipeline: Pipeline
    task: Task
    built: Built
    device: torch.device

    def outputs(self, frame: Frame) -> Tensor:
        """Raw outputs of the model: [rows, outputs]."""
        x = self.pipeline.inputs(frame)
        return outputs(self.built.module, self._batches({"x": x}))

    def predict(self, path: str | Path) -> dict[str, Any]:
        """Columns of predictions for the rows of a file, in its order."""
        frame = read_split(self.config.data, str(path), self.pipeline)
        return self.task.predictions(self.outputs(frame))

    def evaluate(self, path: str | Path) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Metrics over all rows of a file that has the target, and the same by class or target."""
        frame = read_split(self.config.data, str(path), self.pipeline)
        return self.score(self.pipeline.inputs(frame), self.pipeline.targets(frame))

    def score(self, x: Tensor, y: Tensor) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Metrics over tensors as the pipeline gives them."""
        meter = self.task.meter()
        return evaluate(self.built.module, meter, self._batches({"x": x, "y": y})), meter.details()

    def _batches(self, rows: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        size = self.config.eval_.batch_size
        for at in range(0, len(rows["x"]), size):
            yield {name: part[at : at + size].to(self.device) for name, part in rows.items()}


def load(run: str | Path, changes: Sequence[str] = ()) -> Predictor:
    """The best model of a run folder, or of a file that `ftune export` wrote."""
    return restore(load_base(Path(run)), changes)


def restore(base: Base, changes: Sequence[str] = ()) -> Predictor:
    """Raises CheckpointError for weights without the configuration they were trained with."""
    if "pipeline" not in base.meta:
        raise CheckpointError(
            f"{base.source} holds weights only; a run folder or an ftune export is needed"
        )
    config = LANGUAGE.of(base.meta["config"], changes, source=f"the configuration in {base.source}")
    pipeline = base_pipeline(base)
    assert pipeline is not None
    counts = torch.tensor(base.meta["class_counts"], dtype=torch.long)
    seen = torch.repeat_interleave(torch.arange(len(counts)), counts)
    task = config.task.build(pipeline.target.classes, pipeline.target.names, seen, pipeline.invert)
    built = restore_model(config, pipeline, task)
    try:
        built.module.load_state_dict(dict(base.tensors))
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise CheckpointError(
            f"{base.source}: the weights do not fit the structure: {first}"
        ) from None
    device = choose(config.runtime.device)
    built.module.to(device).eval()
    return Predictor(config, pipeline, task, built, device)
