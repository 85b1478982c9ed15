"""Exponential moving average of the weights (Polyak & Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ftune.errors import CheckpointError


class EMA:
    """average ← decay · average + (1 − decay) · weights, after each step.

    The decay starts low, min(decay, (1 + n) / (10 + n)), so that the first steps are forgotten.
    """

    def __init__(
        self, model: nn.Module, decay: float, names: Collection[str] | None = None
    ) -> None:
        """Of the parameters `names`, by default all: those that never move need no average."""
        self.decay = decay
        self.updates = 0
        chosen = [(n, p) for n, p in model.named_parameters() if names is None or n in names]
        self.weights = {n: p.detach().clone() for n, p in chosen}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        live = [p.detach() for n, p in model.named_parameters() if n in self.weights]
        torch._foreach_lerp_(list(self.weights.values()), live, 1 - decay)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """The model with averaged weights, for evaluation; the live ones come back."""
        self._swap(model)
        try:
            yield
        finally:
            self._swap(model)

    @torch.no_grad()
    def _swap(self, model: nn.Module) -> None:
        for name, parameter in model.named_parameters():
            if name not in self.weights:
                continue
            parameter.data, self.weights[name] = self.weights[name], parameter.data

    def load(self, weights: Mapping[str, Tensor], updates: int) -> None:
        if missing := [name for name in self.weights if name not in weights]:
            raise CheckpointError(f"the checkpoint holds no average of {missing[0]}")
        self.updates = updates
        for name, tensor in self.weights.items():
            tensor.copy_(weights[name])
