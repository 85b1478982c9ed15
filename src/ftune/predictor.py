"""A trained model in use: from a run or a single file to metrics and predictions on new rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ftune.build import base_pipeline, build_model, build_task, eval_size, load_weights, whole
from ftune.data.frame import Frame
from ftune.data.pipeline import Pipeline
from ftune.data.prepare import Split, read_split
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
        split = Split(self.pipeline.inputs(frame), None, torch.from_numpy(frame.rows.copy()))
        order = torch.cat(list(split.slices(eval_size(split.inputs, self.config))))
        found = outputs(self.built.module, whole(split, self.config, self.device))
        return found[order.argsort()]

    def predict(self, path: str | Path) -> dict[str, Any]:
        """Columns of predictions for the rows of a file, in its order."""
        frame = read_split(self.config.data, str(path), self.pipeline)
        return self.task.predictions(self.outputs(frame))

    def evaluate(self, path: str | Path) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Metrics over all rows of a file that has the target, and the same by class or target."""
        frame = read_split(self.config.data, str(path), self.pipeline)
        rows = torch.from_numpy(frame.rows.copy())
        return self.score(Split(self.pipeline.inputs(frame), self.pipeline.targets(frame), rows))

    def score(self, split: Split) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Metrics over rows as the pipeline gives them."""
        meter = self.task.meter()
        rows = whole(split, self.config, self.device)
        return evaluate(self.built.module, meter, rows), meter.details()


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
    task = build_task(config, pipeline, seen)
    built = build_model(config, pipeline, task, base.meta)
    load_weights(built.module, base.tensors, base.source)
    device = choose(config.runtime.device)
    built.module.to(device).eval()
    return Predictor(config, pipeline, task, built, device)
