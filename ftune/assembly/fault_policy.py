"""Parts -> ResilientStep: how a training meets what goes wrong in a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from ftune.assembly.loader import BatchLoader, prefetched
from ftune.assembly.parts import Parts
from ftune.data.dataset import Split
from ftune.engine.callback import Callback
from ftune.engine.diagnose import Diagnosis
from ftune.engine.faults import FaultPolicy, ResilientStep, SpikeGuard, Statistics
from ftune.engine.state import State
from ftune.engine.step import Step
from ftune.errors import OutOfMemoryError
from ftune.objectives import Batch


def resilient_step(parts: Parts, step: Step, callback: Callback) -> ResilientStep:
    """Return the step that meets faults as the configuration says."""
    train, loader = parts.config.train, batch_loader(parts)
    policy = FaultPolicy(
        non_finite=train.non_finite.policy,
        spikes=train.spike_guard.policy if train.spike_guard else "stop",
        limit=train.non_finite.limit,
        explain=_explain(parts, step),
        callback=callback,
        shrink=partial(_shrink, parts, callback),
    )
    return ResilientStep(prefetched(loader), step, policy, Statistics(parts.model))


def batch_loader(parts: Parts, source: Callable[[], Split] | None = None) -> BatchLoader:
    """Return the loader of the training rows, with what is stored of them where there is some."""
    source = source or (lambda: parts.prefix.source)
    return BatchLoader(source, parts.batches, parts.config.seed, parts.device, parts.group)


def spike_guard(parts: Parts) -> SpikeGuard | None:
    """Return the guard that `train.spike_guard` describes, None without one."""
    config = parts.config.train.spike_guard
    return SpikeGuard(config.threshold, config.window) if config else None


def _explain(parts: Parts, step: Step) -> Callable[[State, Sequence[Batch]], str]:
    """Return what looks for the cause of a fault, in the inputs themselves."""
    loader = batch_loader(parts, lambda: parts.prefix.rows)
    diagnosis = Diagnosis(
        loss=step.loss,
        positions=lambda at: torch.cat(parts.batches.indices(at)),
        take=loader.batch,
        named=partial(named_rows, parts),
    )
    return lambda state, _: diagnosis(state, loader(state.step, state.microbatch_splits))


def named_rows(parts: Parts, positions: Sequence[int]) -> list[str]:
    """Return training rows as their file counts them, from 1; of images also each one's file."""
    numbers = sorted(int(parts.dataset.train.rows[position]) for position in positions)
    return parts.dataset.pipeline.describe_rows(parts.config.data, numbers)


def _shrink(parts: Parts, callback: Callback, state: State, batches: Sequence[Batch],
             error: OutOfMemoryError) -> None:  # fmt: skip
    """Halve the micro-batches of all further steps. Raises OutOfMemoryError where it cannot be."""
    rows = max(len(part) for part in parts.batches.indices(state.step))
    if not error.shrinks:
        raise error
    reason = _bound_together(parts.model, batches)
    if reason is None and state.microbatch_splits >= rows:
        reason = "they have one row each already"
    if reason is not None:
        raise OutOfMemoryError(f"{error}. Micro-batches cannot shrink: {reason}") from None
    state.microbatch_splits *= 2
    state.clear_gradients()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    callback.warn(
        f"step {state.step + 1:,}: {error}. From here on a micro-batch of {rows} rows goes in "
        f"{min(state.microbatch_splits, rows)} parts; the step keeps its rows and their weight"
    )


def _bound_together(model: nn.Module, batches: Sequence[Batch]) -> str | None:
    """Return why rows of a batch depend on one another, None where they do not."""
    for name, module in model.named_modules():
        norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
        tracking = isinstance(module, nn.modules.batchnorm._NormBase)
        tracking = tracking and bool(module.track_running_stats)
        if (norm or tracking) and module.training:
            return (
                f"`{name}` normalises by the statistics of its batch, and smaller ones would give "
                "another result. Write a smaller train.batch_size, or groupnorm or layernorm for it"
            )
    if any("partner" in batch for batch in batches):
        return (
            "mixup and cutmix pair the rows of a micro-batch, and smaller ones would pair others. "
            "Write a smaller train.batch_size"
        )
    return None
