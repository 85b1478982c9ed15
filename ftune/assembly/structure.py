"""The declared structure of a model, for what a pipeline gives and a task wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ftune.data.pipeline import Pipeline
from ftune.models.shapes import Axis, Built, Inputs
from ftune.runs.model_card import ModelCard
from ftune.schema.root import RunConfig
from ftune.security.limits.modules import weighed
from ftune.tasks.protocol import Task


def build_model(
    config: RunConfig, pipeline: Pipeline, task: Task, card: ModelCard, fresh: bool = False
) -> Built:
    """The declared structure for a pipeline's inputs and a task's outputs.

    Freshly initialised, or as its library loads it; from the card of a checkpoint
    only the structure, for weights to come; with `fresh` initialised, where not all may come.
    """
    inputs = inputs_of(pipeline, task.positions)
    with weighed("model"):
        built: Built = (
            config.model.restore(inputs, task.outputs, card.model, fresh)
            if card.model
            else config.model.build(inputs, task.outputs)
        )
    axes = {
        name: _named_outputs(features, task.output_names) for name, features in built.axes.items()
    }
    return replace(built, axes=axes)


def inputs_of(pipeline: Pipeline, positions: bool = False) -> Inputs:
    """Return what a pipeline gives a model. Raises AssertionError for one that contradicts itself.

    positions: whether the task has an output for each position.
    """
    features = pipeline.features
    named = (
        (None, {}, {}) if features.time else (features.names, features.categories, pipeline.codes)
    )
    return Inputs(
        features.shape, *named, features.vocabulary, positions, features.time, features.ragged
    )


def _named_outputs(axes: Sequence[Axis], names: tuple[str, ...]) -> tuple[Axis, ...]:
    return tuple(replace(a, names=names) if a.role == "output" else a for a in axes)
