"""What of a model need not be computed again in a training, as `train.cache` says."""

from __future__ import annotations

import torch
from torch import nn

from ftune.adapt.freeze import UnfreezeSchedule
from ftune.assembly.objective import choose_objective
from ftune.data.dataset import Split
from ftune.data.disk_cache import cache_folder
from ftune.frozen_prefix.compute import Computation
from ftune.frozen_prefix.prefix import FrozenPrefix
from ftune.runtime.precision import Precision
from ftune.schema.root import RunConfig
from ftune.tasks.protocol import Task


def choose_prefix(
    config: RunConfig, task: Task, model: nn.Module, train: Split, phases: UnfreezeSchedule,
    epochs: float, device: torch.device, precision: Precision,
) -> FrozenPrefix:  # fmt: skip
    """Return the prefix of a training of so many epochs on these rows."""
    _, forward = choose_objective(config, task, model, device)
    folder = cache_folder(config.data.cache, "prefix")
    name = str(precision.dtype or torch.float32)
    computation = Computation(model, forward, precision.autocast, name, device, folder)

    def length(epoch: int) -> float:
        begins = max((start for start in phases.starts if start <= epoch), default=0)
        ends = min((start for start in phases.starts if start > epoch), default=epochs)
        return min(float(ends), epochs) - begins

    why_not = ""
    if config.train.objective:
        why_not = "train.objective may change its inputs"
    elif train.inputs.random:
        why_not = "the inputs of a row differ from epoch to epoch"
    rows = train.to(device)
    return FrozenPrefix(config.train.cache, rows, computation, phases.enter, length, why_not)
