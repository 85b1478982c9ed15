"""What survives an interruption: everything the next step depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ftune.engine.average import EMA
from ftune.engine.scores import Evaluation
from ftune.errors import CheckpointError
from ftune.models.call import counted
from ftune.objectives import Forward
from ftune.optim.schedule import Schedule
from ftune.optim.state import load_optimizer_tensors, optimizer_tensors
from ftune.runtime.seeds import restore_rng, rng_state

# Whole numbers by their names in a checkpoint's `loop`, which version 0.1 gave them.
_COUNTS = {
    "step": "step",
    "waiting": "evals_since_gain",
    "looked": "last_eval_step",
    "split": "microbatch_splits",
    "faults": "skipped_faults",
    "skipped": "skipped",
    "overflows": "overflows",
}


@dataclass
class State:
    """A model in training after `step` updates.

    set_trainable: called with an epoch when it begins; sets which parameters move. reference: the
    evaluation that last reset the patience. evals_since_gain: evaluations since. last_eval_step: of
    the last evaluation, so that a resume counts none twice. microbatch_splits: in how many parts a
    micro-batch goes, since memory ran out. skipped: steps that updated nothing. skipped_faults:
    those of them that went wrong. overflows: steps in a row whose fp16 gradients overflowed.
    recent_losses: for the spike guard. base_lr: of a group with `lr_scale` 1 where the schedule's
    factor is 1. lr: that of the step being taken. forward: how the model is called in a step, by
    default as it is; another value (compiled, cached) leaves names and saving alone.
    """

    model: nn.Module
    optimizers: list[torch.optim.Optimizer]
    schedule: Schedule
    set_trainable: Callable[[int], None]
    scaler: torch.amp.GradScaler | None = None
    average: EMA | None = None
    base_lr: float = 1.0
    lr: float = field(init=False, default=0.0)
    step: int = 0
    best: Evaluation | None = None
    reference: Evaluation | None = None
    evals_since_gain: int = 0
    last_eval_step: int = -1
    microbatch_splits: int = 1
    skipped_faults: int = 0
    skipped: int = 0
    overflows: int = 0
    recent_losses: list[float] = field(default_factory=list)
    forward: Forward = field(init=False)
    parameters: list[nn.Parameter] = field(init=False)

    def __post_init__(self) -> None:
        self.forward = partial(counted, self.model)
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        self.parameters = [parameter for group in groups for parameter in group["params"]]

    @property
    def updates(self) -> int:
        """Steps that moved the weights: the clock of the schedule and of the average."""
        return self.step - self.skipped

    def set_lr(self) -> None:
        """Set the learning rate of each parameter group for the next update."""
        self.lr = self.base_lr * self.schedule.factor(self.updates)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.lr * group["lr_scale"]

    def clear_gradients(self) -> None:
        """Before a step, and where their memory is wanted."""
        for parameter in self.parameters:
            parameter.grad = None

    def gradients(self) -> list[Tensor]:
        """Those that are there."""
        return [p.grad for p in self.parameters if p.grad is not None]

    def evaluated(self) -> AbstractContextManager[None]:
        """The weights to judge: the averaged ones, where an average is kept."""
        return self.average.applied(self.model) if self.average else nullcontext()

    def tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors by name, and JSON: together with the weights, all that `load` needs."""
        tensors, scalars = optimizer_tensors(self.optimizers)
        saved = {f"optimizer/{name}": tensor for name, tensor in tensors.items()}
        saved |= {f"rng/{name}": tensor for name, tensor in rng_state().items()}
        if self.average:
            saved |= {f"ema/{name}": tensor for name, tensor in self.average.weights.items()}
        return saved, {
            **{key: getattr(self, name) for key, name in _COUNTS.items()},
            "recent": list(self.recent_losses),
            "best": vars(self.best) if self.best else None,
            "reference": vars(self.reference) if self.reference else None,
            "schedule": self.schedule.state(),
            "optimizer": scalars,
            "scaler": self.scaler.state_dict() if self.scaler else None,
            "average_updates": self.average.updates if self.average else None,
        }

    def load(self, tensors: Mapping[str, Tensor], loop: Mapping[str, Any]) -> None:
        """Continues where `tensors()` was taken, with the weights of that step in the model.

        Raises CheckpointError where it does not fit.
        """
        self.load_learned(tensors, loop)
        self.schedule.load(loop["schedule"])
        # Version 0.1 counted faults alone, or nothing.
        faults = loop.get("faults", 0)
        counts = {"split": 1, "faults": 0, "skipped": faults, "overflows": 0, **loop}
        for key, name in _COUNTS.items():
            setattr(self, name, _count(counts, key))
        self.recent_losses = list(loop.get("recent", ()))
        self.best = _evaluation(loop["best"])
        self.reference = _evaluation(loop.get("reference", loop["best"]))  # 0.1: one for both
        restore_rng(_under("rng/", tensors))

    def load_learned(self, tensors: Mapping[str, Tensor], loop: Mapping[str, Any]) -> None:
        """What updates have made, without the place in time: optimizer, average, loss scale."""
        load_optimizer_tensors(self.optimizers, _under("optimizer/", tensors), loop["optimizer"])
        if self.average:
            self.average.load(_under("ema/", tensors), loop["average_updates"])
        if self.scaler and loop["scaler"]:
            self.scaler.load_state_dict(dict(loop["scaler"]))


def _evaluation(plain: Mapping[str, Any] | None) -> Evaluation | None:
    return Evaluation(**plain) if plain else None


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def _count(loop: Mapping[str, Any], name: str) -> int:
    """A whole number of the loop. Raises CheckpointError."""
    value = loop.get(name)
    if type(value) is not int:
        raise CheckpointError(f"the checkpoint is damaged: its `{name}` is {value!r:.50}")
    return value
