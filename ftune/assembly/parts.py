"""What a training consists of, connected: the value that assembly gives to all floors above."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import nn

from ftune.adapt.freeze import UnfreezeSchedule
from ftune.adapt.names import strip_wrappers
from ftune.adapt.quantize import SCALE
from ftune.adapt.rules import ParamPlan
from ftune.adapt.schema import Rule
from ftune.assembly.initial_weights import InitialModel
from ftune.assembly.prefix import choose_prefix
from ftune.data.batches import Batches
from ftune.data.dataset import Dataset
from ftune.distributed import group as distributed
from ftune.frozen_prefix.prefix import FrozenPrefix
from ftune.models.shapes import Built
from ftune.runtime.precision import Precision
from ftune.schema.root import RunConfig
from ftune.tasks.protocol import Task


@dataclass
class Parts:
    """Everything a training consists of, built and connected, not yet moving.

    config: read by assembly alone; floors above take typed values or the configuration as an
    argument. precision, eval_every, total: what the configuration comes to here, in steps.
    """

    config: RunConfig
    dataset: Dataset
    device: torch.device
    threads: int
    precision: Precision
    target_kind: str
    origin: InitialModel
    task: Task
    rules: Sequence[Rule]
    effects: Mapping[str, ParamPlan]
    phases: UnfreezeSchedule
    batches: Batches
    eval_every: int | None
    total: int
    notes: list[str] = field(default_factory=list)
    group: distributed.Group = field(default_factory=distributed.Solo)

    @cached_property
    def prefix(self) -> FrozenPrefix:
        """What of the model need not be computed again."""
        epochs = self.total / self.batches.steps_per_epoch
        return choose_prefix(
            self.config, self.task, self.model, self.dataset.train, self.phases, epochs,
            self.device, self.precision,
        )  # fmt: skip

    @property
    def model(self) -> nn.Module:
        return self.origin.module

    @property
    def built(self) -> Built:
        return self.origin.built

    @property
    def frozen(self) -> frozenset[str]:
        """Tensors of a checkpoint that are never trained, also under their other names (tied)."""
        return never_trained(self.model, self.effects)

    @property
    def sizes(self) -> dict[str, int]:
        return {name: p.numel() for name, p in self.model.named_parameters()}

    @property
    def trainable(self) -> int:
        """Parameters that move at some time of the training."""
        return sum(n for name, n in self.sizes.items() if self.effects[name].train)


def moving(parts: Parts) -> frozenset[str]:
    """The parameters that are trained at some time."""
    return frozenset(name for name, effect in parts.effects.items() if effect.train)


def never_trained(model: nn.Module, effects: Mapping[str, ParamPlan]) -> frozenset[str]:
    """Names in the state dict of parameters that no phase trains, all names of each."""
    named = dict(model.named_parameters(remove_duplicate=False))
    still = {id(p) for name, p in named.items() if name in effects and not effects[name].train}
    names = [strip_wrappers(name) for name, p in named.items() if id(p) in still]
    return frozenset([*names, *(name + SCALE for name in names)])
