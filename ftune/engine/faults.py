"""What is done about a step that went wrong: numbers that are not finite, spikes, no memory.

Whatever the answer, the step updates nothing. Skipping and rolling back follow PaLM (Chowdhery et
al. 2022, section 5.1), which went back to a checkpoint and passed over the batches since.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ftune.engine.callback import Callback
from ftune.engine.state import State
from ftune.engine.step import Step, StepResult
from ftune.errors import DivergedError, OutOfMemoryError, SpikeError
from ftune.objectives import Batch

Policy = Literal["stop", "skip", "rollback"]
ADVICE = (
    "Where many rows do it, a smaller optimizer.lr or train.clip_norm helps; where few do, mend "
    "them, or leave such steps out with `train.non_finite: skip`"
)
SPIKE_ADVICE = (
    "A smaller optimizer.lr or train.clip_norm helps; `train.spike_guard: {policy: skip}` leaves "
    "such steps out"
)


@dataclass(frozen=True)
class FaultPolicy:
    """What is done when a step goes wrong, and who does it.

    limit: faults after which the run ends. explain: returns the cause in words. callback: rolls
    back, and warns the user. shrink: cuts the micro-batches; raises where that may not be.
    """

    non_finite: Policy
    spikes: Policy
    limit: int
    explain: Callable[[State, Sequence[Batch]], str]
    callback: Callback
    shrink: Callable[[State, Sequence[Batch], OutOfMemoryError], None]


@dataclass(frozen=True)
class ResilientStep:
    """Takes the batches of a step, makes the step, and answers what goes wrong.

    feed: the micro-batches of a step, each in so many parts.
    """

    feed: Callable[[int, int], Sequence[Batch]]
    step: Step
    fault_policy: FaultPolicy
    statistics: Statistics

    def __call__(self, state: State) -> StepResult:
        """Raises DivergedError and OutOfMemoryError where the answer is to stop."""
        self.statistics.keep()
        while True:
            batches = self.feed(state.step, state.microbatch_splits)
            try:
                result = self.step(state, batches)
                if result.skipped:
                    self.statistics.put_back()
                return result
            except DivergedError as fault:
                self.statistics.put_back()
                return self._handle(state, batches, fault)
            except OutOfMemoryError as error:
                self.statistics.put_back()
                self.fault_policy.shrink(state, batches, error)

    def _handle(self, state: State, batches: Sequence[Batch], fault: DivergedError) -> StepResult:
        faults, spike = self.fault_policy, isinstance(fault, SpikeError)
        policy = faults.spikes if spike else faults.non_finite
        state.clear_gradients()
        cause = "" if spike else faults.explain(state, batches)
        message = f"step {state.step + 1:,}: {fault}" + (f" ({cause})" if cause else "")
        state.skipped_faults += 1
        if policy == "stop":
            advice = SPIKE_ADVICE if spike else ADVICE
            raise DivergedError(f"{message}; nothing was updated. {advice}")
        if state.skipped_faults > faults.limit:
            raise DivergedError(f"{message}; after {faults.limit} faults before it the run ends")
        done = faults.callback.rollback(state) if policy == "rollback" else "the step is left out"
        if not done:
            raise DivergedError(f"step {state.step + 1:,} cannot be taken back: nothing was saved")
        faults.callback.warn(f"{message}; {done}")
        return StepResult(math.nan, fault=message)


class Statistics:
    """Running means and variances, which a forward pass moves before its loss is known."""

    def __init__(self, model: nn.Module) -> None:
        norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
        self.live: list[Tensor] = [b for norm in norms for b in norm.buffers(recurse=False)]
        self.kept = [torch.empty_like(b) for b in self.live]

    @torch.no_grad()
    def keep(self) -> None:
        if self.live:
            torch._foreach_copy_(self.kept, self.live)

    @torch.no_grad()
    def put_back(self) -> None:
        if self.live:
            torch._foreach_copy_(self.live, self.kept)


@dataclass(frozen=True)
class SpikeGuard:
    """Refuses a loss that is far above the recent ones, before it moves anything.

    Far is `threshold` standard deviations above the median of the last `window` losses, the
    deviation taken as 1.4826 times the median distance from it (Hampel's identifier): the guard is
    not moved by the outliers that it looks for. It is silent until `window` losses are known.
    """

    threshold: float
    window: int

    def __call__(self, state: State, loss: float) -> None:
        """Raises SpikeError."""
        recent = state.recent_losses
        if len(recent) >= self.window:
            middle = statistics.median(recent)
            spread = 1.4826 * statistics.median(abs(value - middle) for value in recent)
            bound = middle + self.threshold * max(spread, 1e-3 * abs(middle))
            if loss > bound:
                raise SpikeError(
                    f"the loss jumped to {loss:.4g}, the last {self.window} were around "
                    f"{middle:.4g} and up to {max(recent):.4g}"
                )
        recent.append(loss)
        del recent[: -self.window]
