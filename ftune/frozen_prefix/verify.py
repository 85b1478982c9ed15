"""Whether a pass from stored activations is the pass of the whole model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.random import fork_rng

from ftune.frozen_prefix.trace import untouched
from ftune.objectives import Batch, Forward

TOLERANCE = {torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""Largest difference relative to the largest number; of fp32 it is 1e-4."""
FAILURES = (RuntimeError, TypeError, ValueError, LookupError, AttributeError)
"""What a model may raise that is given something other than it expects."""


def difference(
    model: nn.Module, whole: Forward, rest: Forward, batches: tuple[Batch, Batch], dtype: Any
) -> str:
    """Return in words how outputs or gradients differ; "" where they agree to rounding.

    batches: the same rows for `whole`, and with what is stored for `rest`. dtype: of what is
    stored. In training mode gradients are compared, too.
    """
    trained = [p for p in model.parameters() if p.requires_grad] if model.training else []
    tolerance = TOLERANCE.get(dtype, 1e-4)
    with untouched(model), torch.set_grad_enabled(bool(trained)):
        try:
            expected = _pass(whole, batches[0], trained)
            got = _pass(rest, batches[1], trained)
        except FAILURES as error:
            return f"the rest of the model does not run alone ({str(error).splitlines()[0]:.100})"
    if [t is None for t in expected] != [t is None for t in got]:
        return "gradients do not reach the same parameters"
    pairs = [(a, b) for a, b in zip(expected, got, strict=True) if a is not None and b is not None]
    if not _alike(pairs[:1], tolerance):
        return "the outputs differ"
    return "" if _alike(pairs[1:], 10 * tolerance) else "the gradients differ"


def _pass(forward: Forward, batch: Batch, trained: list[nn.Parameter]) -> list[Tensor | None]:
    """Return the outputs, and the gradients of a weighted sum of them."""
    with fork_rng():
        outputs, _ = forward(batch)
    if not trained:
        return [outputs]
    signs = torch.arange(outputs.numel(), device=outputs.device).cos().view(outputs.shape)
    gradients = torch.autograd.grad((outputs.float() * signs).sum(), trained, allow_unused=True)
    return [outputs.detach(), *gradients]


def _alike(pairs: list[tuple[Tensor, Tensor]], tolerance: float) -> bool:
    """Whether all pairs are equal to rounding, of which the largest number of all is the measure.

    A gradient that is 0 but for rounding, as that of a key's bias, has no measure of its own.
    """
    if any(a.shape != b.shape for a, b in pairs):
        return False
    pairs = [(a.float(), b.float()) for a, b in pairs if a.numel()]
    scale = max((float(a.abs().max()) for a, _ in pairs), default=0.0)
    return all(bool((a - b).abs().max() <= tolerance * scale) for a, b in pairs)
