"""Verify an export: what is read back gives what the model gives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ftune.exports.export_model import Batch, outputs

# What merging may round, as a share of the largest output. Deep models on random ids magnify it.
MERGING = {torch.float16: 1e-2, torch.bfloat16: 5e-2}


@dataclass(frozen=True)
class Verification:
    """difference: the largest of all outputs. allowed: how large it may be. outputs: how many."""

    difference: float
    allowed: float
    outputs: int

    @property
    def holds(self) -> bool:
        """False also where a difference is not a number."""
        return self.difference <= self.allowed


def verify(
    model: nn.Module, read: Callable[[Batch], Tensor], batches: list[Batch], tolerance: float
) -> Verification:
    """Compares at real positions; padding means nothing.

    Shapes that differ are infinitely far apart.
    """
    difference, largest, count = 0.0, 0.0, 0
    for batch in batches:
        wanted, actual = outputs(model, batch), read(batch)
        if actual.shape != wanted.shape:
            return Verification(math.inf, 0.0, wanted.numel())
        if wanted.dim() == 3 and "segments" in batch:
            real = batch["segments"] > 0
            wanted, actual = wanted[real], actual[real]
        wanted, actual = wanted.double(), actual.double()
        difference = _larger(difference, float((wanted - actual).abs().max()))
        largest = _larger(largest, float(wanted.abs().max()))
        count += wanted.numel()
    return Verification(difference, tolerance * largest, count)


def coarseness(model: nn.Module) -> float:
    """The tolerance for adapters merged into this model's numbers."""
    return max((MERGING.get(p.dtype, 1e-3) for p in model.parameters()), default=1e-3)


def _larger(a: float, b: float) -> float:
    """The larger; NaN where one is."""
    return a if a >= b else b
