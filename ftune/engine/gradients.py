"""Gradients as a whole: whether they are finite, and what fp16's small range asks of them."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from ftune.engine.state import State
from ftune.errors import DivergedError

OVERFLOWS = 20
"""So many skipped steps in a row are a fault: 17 halvings take GradScaler's first scale below 1."""


class Shares:
    """What each of several micro-batches is multiplied by before its backward pass, in fp16.

    The gradient of a sum over k micro-batches is k times that of their mean, and k times as soon
    too large for fp16. So each is divided by what the whole step will weigh, projected from the
    weight so far by a measure that is known beforehand, and the gradients gathered so far follow
    where the projection changes. After the last it is the weight itself: the result depends on no
    guess, and with a measure in proportion every backward pass is that of one large batch.
    """

    def __init__(self, state: State, measures: Sequence[float]) -> None:
        """measures: of each micro-batch, a number in proportion to its weight."""
        self.state, self.measures = state, measures
        self.taken, self.projected = 0, 0.0

    def next(self, weight: float) -> float:
        """The share of the next micro-batch; `weight`: of all so far, this one included."""
        self.taken += 1
        seen, whole = sum(self.measures[: self.taken]), sum(self.measures)
        projected = weight * whole / seen if seen and seen != whole else weight
        gradients = self.state.gradients()
        if self.projected and projected != self.projected and gradients:
            torch._foreach_mul_(gradients, self.projected / projected)
        self.projected = projected
        return 1 / projected if projected else 0.0


def unscaled(state: State, scaler: torch.amp.GradScaler, gradients: list[Tensor]) -> bool:
    """Divides the gradients by the loss scale; returns whether they are finite.

    Where they are not, the scale is halved and the step is to be skipped, by all optimizers alike.
    Now and then that is how GradScaler finds the largest scale that does, at the beginning and by
    one attempt to double it in 2,000 steps. Raises DivergedError where it is not.
    """
    if not gradients:
        return True
    for optimizer in state.optimizers:
        scaler.unscale_(optimizer)
    fine = finite(gradients)
    scaler.update()
    if fine:
        state.overflows = 0
        return True
    state.overflows += 1
    before, scale = state.overflows - 1, scaler.get_scale()
    if before + 1 < OVERFLOWS and scale >= 1:
        return False
    state.overflows = 0
    scale_now = f"a loss scale of {2 * scale:,.10g}"
    after = f" after {before} skipped steps in a row" if before else ""
    raise DivergedError(
        f"{first_broken(state)} is not finite in fp16, even at {scale_now}{after}; bf16 and fp32 "
        "have a wider range"
    )


def finite(gradients: list[Tensor]) -> bool:
    """Whether every entry of every gradient is finite, in one kernel where torch has it."""
    if not gradients:
        return True
    device = gradients[0].device
    if device.type not in ("cpu", "cuda"):
        return all(bool(torch.isfinite(g).all()) for g in gradients)
    overflow = torch.zeros(1, device=device)
    scale = constant(1.0, torch.float32, device)
    torch._amp_foreach_non_finite_check_and_unscale_(gradients, overflow, scale)
    return overflow.item() == 0


def first_broken(state: State) -> str:
    """The gradient that was the first not to be finite, in the order of the backward pass."""
    names = reversed(list(state.model.named_parameters()))
    broken = (n for n, p in names if p.grad is not None and not finite([p.grad]))
    first = next(broken, None)
    return f"the gradient of {first}" if first else "the norm of the whole gradient"


@functools.lru_cache(maxsize=64)
def constant(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A number as a tensor, made once: on this path a kernel more is a percent more."""
    return torch.tensor(value, dtype=dtype, device=device)
