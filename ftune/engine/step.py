"""The mathematics of one optimizer step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ftune.distributed.group import Group, Solo
from ftune.distributed.reduce import StepSums, reduce_gradients, reduce_sums
from ftune.engine.gradients import Shares, constant, finite, first_broken, unscaled
from ftune.engine.state import State
from ftune.errors import DivergedError, OutOfMemoryError
from ftune.objectives import Batch, Forward, Loss, Objective
from ftune.runtime.memory import memory


@dataclass(frozen=True)
class StepResult:
    """loss: weighted mean over everything that counted. grad_norm: before clipping, if measured.

    fault: why nothing was updated, where something went wrong. skipped: nothing was updated, since
    fp16 gradients overflowed at the loss scale of the time, which is part of finding it. weight: by
    what the loss was divided: rows, or the tokens that counted. parts: means of the summands that
    the objective names.
    """

    loss: float
    grad_norm: float | None = None
    fault: str = ""
    skipped: bool = False
    weight: float = 0.0
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def applied(self) -> bool:
        """Whether the weights were updated."""
        return not self.fault and not self.skipped


@dataclass(frozen=True)
class Step:
    """One update from several micro-batches, which together weigh as one batch.

    The objective returns the SUM of losses and what it weighs; sums and weights are added over the
    micro-batches and divided once, never a mean of means. Non-finite losses and gradients are
    found before any optimizer moves anything. accept: raises where it refuses the mean loss. group:
    the processes among which a step's rows are divided; sums, weights, gradients and errors are
    reduced over it before anything is divided or decided.
    """

    objective: Objective
    clip_norm: float | None = None
    clip_value: float | None = None
    autocast: Callable[[], AbstractContextManager[Any]] | None = None
    accept: Callable[[State, float], None] | None = None
    group: Group = field(default_factory=Solo)

    def __call__(self, state: State, batches: Sequence[Batch]) -> StepResult:
        """Make one update with the rates that the optimizers' groups have.

        Raises DivergedError where the loss or a gradient is not finite, OutOfMemoryError.
        """
        state.clear_gradients()
        local = self._local_sums(state, batches)
        sums = reduce_sums(self.group, local)
        weight = sums.weight or math.inf
        loss, parts = sums.loss / weight, {n: part / weight for n, part in sums.parts.items()}
        reduce_gradients(
            self.group, state.parameters, local.weight / weight if state.scaler else 1.0
        )
        gradients = state.gradients()
        if state.scaler:
            if not unscaled(state, state.scaler, gradients):
                return StepResult(loss, skipped=True, weight=weight, parts=parts)
        elif self._in_parts(batches) and gradients:
            torch._foreach_div_(gradients, weight)
        norm = self._check_and_clip(state, gradients)
        if self.accept is not None:
            self.accept(state, loss)
        with memory("the update"):
            self._update(state)
        return StepResult(loss, norm, weight=weight, parts=parts)

    def _update(self, state: State) -> None:
        for optimizer in state.optimizers:
            optimizer.step()
        if state.average:
            state.average.update(state.model)

    def _in_parts(self, batches: Sequence[Batch]) -> bool:
        """Return whether the step's weight is known only after all backward passes."""
        return len(batches) > 1 or self.group.world > 1

    def _local_sums(self, state: State, batches: Sequence[Batch]) -> StepSums:
        """Return what this process's micro-batches add up to, or what went wrong with them."""
        try:
            with memory("a micro-batch", shrinks=True):
                return self._backward(state, batches)
        except (DivergedError, OutOfMemoryError) as error:
            return StepSums(error=error)

    def _backward(self, state: State, batches: Sequence[Batch]) -> StepSums:
        """Return the summed loss, its weight and its parts; leave gradients.

        Those of the mean loss for one micro-batch, of the summed loss for several, and in fp16 of
        the mean loss times the loss scale. A step in which nothing counts (class weights of 0)
        weighs infinitely: its gradient is 0.
        """
        several = self._in_parts(batches)
        measured = batches if several and state.scaler else []
        shares = Shares(state, [float(self.objective.measure(batch)) for batch in measured])
        total, weight = 0.0, 0.0
        parts: dict[str, float] = {}
        for batch in batches:
            loss = self.loss(state.forward, batch)
            value = loss.sum.item()
            if not math.isfinite(value):
                raise DivergedError(f"the loss is {value}")
            total, weight = total + value, weight + float(loss.weight)
            for name, part in loss.parts.items():
                parts[name] = parts.get(name, 0.0) + part.item()
            share = 1.0 if several else 1 / (weight or math.inf)
            share = shares.next(weight) if measured else share
            scaled = state.scaler.scale(loss.sum) if state.scaler else loss.sum
            scaled.backward(constant(share, scaled.dtype, loss.sum.device))  # type: ignore[no-untyped-call]
        return StepSums(total, weight, parts)

    def loss(self, forward: Forward, batch: Batch) -> Loss:
        """The objective's loss, in the types that the training computes in."""
        if self.autocast is None:
            return self.objective(forward, batch)
        with self.autocast():
            return self.objective(forward, batch)

    def _check_and_clip(self, state: State, gradients: list[Tensor]) -> float | None:
        if self.clip_value is not None:
            _refuse(state, finite(gradients))
            torch._foreach_clamp_min_(gradients, -self.clip_value)
            torch._foreach_clamp_max_(gradients, self.clip_value)
        if self.clip_norm is None:
            _refuse(state, bool(self.clip_value or state.scaler) or finite(gradients))
            return None
        norm = float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0
        _refuse(state, math.isfinite(norm))
        if norm > self.clip_norm:
            torch._foreach_mul_(gradients, self.clip_norm / (norm + 1e-6))
        return norm


def _refuse(state: State, fine: bool) -> None:
    if not fine:
        raise DivergedError(f"{first_broken(state)} is not finite")
