"""The mathematics of one optimizer step."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ftune.engine.state import State
from ftune.errors import DivergedError
from ftune.runtime.memory import memory

Batch = Mapping[str, Tensor]
Loss = Callable[[Any, Batch], tuple[Tensor, Tensor | float]]


@dataclass(frozen=True)
class StepResult:
    """loss: weighted mean over everything that counted. grad_norm: before clipping, if measured.

    fault: why nothing was updated, where that is so.
    """

    loss: float
    grad_norm: float | None = None
    fault: str = ""


@dataclass(frozen=True)
class Step:
    """One update from several micro-batches, which together weigh as one batch.

    loss returns the SUM of losses and what it weighs; sums and weights are added over the
    micro-batches and divided once, never a mean of means. Non-finite losses and gradients are
    found before the optimizer moves anything. accept: raises where it refuses the mean loss.
    """

    loss: Loss
    clip_norm: float | None = None
    clip_value: float | None = None
    autocast: Callable[[], AbstractContextManager[Any]] | None = None
    accept: Callable[[State, float], None] | None = None

    def __call__(self, state: State, batches: Sequence[Batch], rate: float) -> StepResult:
        """Raises DivergedError where the loss or a gradient is not finite, OutOfMemoryError."""
        state.clear_gradients()
        with memory("a micro-batch", shrinks=True):
            total, weight = self._backward(state, batches)
        gradients = [p.grad for p in state.parameters if p.grad is not None]
        if len(batches) > 1 and gradients:
            torch._foreach_div_(gradients, weight)
        norm = self._check_and_clip(state, gradients)
        if self.accept is not None:
            self.accept(state, total / weight)
        with memory("the update"):
            self._update(state, rate)
        return StepResult(total / weight, norm)

    def _update(self, state: State, rate: float) -> None:
        for optimizer in state.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["lr_scale"]
            state.scaler.step(optimizer) if state.scaler else optimizer.step()
        if state.scaler:
            state.scaler.update()
        if state.average:
            state.average.update(state.model)

    def _backward(self, state: State, batches: Sequence[Batch]) -> tuple[float, float]:
        """Gradients of the mean loss for one micro-batch, of the summed loss for several.

        A step in which nothing counts (class weights of 0) weighs infinitely: its gradient is 0.
        """
        total = weight = 0.0
        for batch in batches:
            loss, count = self.forward(state.model, batch)
            value, counted = loss.item(), float(count)
            if not math.isfinite(value):
                raise DivergedError(f"the loss is {value}")
            total, weight = total + value, weight + counted
            scaled = state.scaler.scale(loss) if state.scaler else loss
            share = 1 / (counted or math.inf) if len(batches) == 1 else 1.0
            scaled.backward(_constant(share, loss.dtype, loss.device))  # type: ignore[no-untyped-call]
        return total, weight or math.inf

    def forward(self, model: Any, batch: Batch) -> tuple[Tensor, Tensor | float]:
        """The loss and its weight, in the types that the training computes in."""
        if self.autocast is None:
            return self.loss(model, batch)
        with self.autocast():
            return self.loss(model, batch)

    def _check_and_clip(self, state: State, gradients: list[Tensor]) -> float | None:
        if state.scaler:  # it finds non-finite gradients, skips that step and halves its scale
            for optimizer in state.optimizers:
                state.scaler.unscale_(optimizer)
        if self.clip_value is not None:
            _refuse(state, finite(gradients))
            torch._foreach_clamp_min_(gradients, -self.clip_value)
            torch._foreach_clamp_max_(gradients, self.clip_value)
        if self.clip_norm is None:
            _refuse(state, self.clip_value is not None or finite(gradients))
            return None
        norm = float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0
        _refuse(state, math.isfinite(norm))
        if norm > self.clip_norm:
            torch._foreach_mul_(gradients, self.clip_norm / (norm + 1e-6))
        return norm


def finite(gradients: list[Tensor]) -> bool:
    """Whether every entry of every gradient is finite, in one kernel where torch has it."""
    if not gradients:
        return True
    device = gradients[0].device
    if device.type not in ("cpu", "cuda"):
        return all(bool(torch.isfinite(g).all()) for g in gradients)
    found = torch.zeros(1, device=device)
    one = _constant(1.0, torch.float32, device)
    torch._amp_foreach_non_finite_check_and_unscale_(gradients, found, one)
    return found.item() == 0


@functools.lru_cache(maxsize=64)
def _constant(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A number as a tensor, made once: on this path a kernel more is a percent more."""
    return torch.tensor(value, dtype=dtype, device=device)


def _refuse(state: State, ok: bool) -> None:
    if ok or state.scaler:
        return
    names = reversed(list(state.model.named_parameters()))  # the order of the backward pass
    found = (n for n, p in names if p.grad is not None and not finite([p.grad]))
    first = next(found, None)
    what = f"the gradient of {first}" if first else "the norm of the whole gradient"
    raise DivergedError(f"{what} is not finite")
