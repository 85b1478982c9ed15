"""What a training minimises, and by which forward pass."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from ftune.models.call import counted, counted_states, output_layer
from ftune.models.chunked import rows_at_once
from ftune.objectives import ChunkedObjective, Forward, Objective, TaskObjective
from ftune.runtime.precision import choose_precision
from ftune.schema.root import RunConfig
from ftune.tasks.protocol import Task


def choose_objective(
    config: RunConfig, task: Task, model: nn.Module, device: torch.device
) -> tuple[Objective, Forward]:
    """Return what `train.objective` names, or the loss of the task, and the forward it takes.

    The logits of a language model are never all there at once: where the vocabulary is wide, they
    take more memory than the model.
    """
    own: Objective | None = config.train.objective
    head = None if own else _chunked_head(config, model, device)
    if head is None:
        return own or TaskObjective(task.loss, task.weight), partial(counted, model)
    objective = ChunkedObjective(head, task.loss, rows_at_once(task.outputs), task.weight)
    return objective, partial(counted_states, model)


def _chunked_head(config: RunConfig, model: nn.Module, device: torch.device) -> nn.Module | None:
    """Return the output layer whose outputs are to come in chunks.

    Not in fp16: gradients that are taken before they are scaled would underflow.
    """
    chunks = config.task.target_kind == "tokens"
    chunks = chunks and not choose_precision(config.train.precision, device).scales
    return output_layer(model) if chunks else None
