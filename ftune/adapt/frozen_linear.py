"""Frozen linear layers whose weight lies in memory in the type that training computes in.

Autocast casts a weight at each use and keeps the cast for the backward pass. A weight that is
never trained is cast once instead: the products are the same to the bit.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ftune.adapt.names import strip_wrappers


class HalfParameter(nn.Parameter):
    """A frozen weight in 16 bits; outside autocast it is computed with in the type of its input."""


class FrozenLinear(nn.Linear):
    """A linear layer with a frozen weight in 16 bits, or with a copy of it for autocast.

    computed: the weight in autocast's type; None where the weight itself is.
    """

    computed: Tensor | None

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that callers may use
        """Return what nn.Linear does."""
        if torch.is_autocast_enabled(input.device.type):
            weight = self.weight if self.computed is None else self.computed
        else:
            weight = self.weight.to(input.dtype)
        return F.linear(input, weight, self.bias)


@torch.no_grad()
def store_bf16(layer: nn.Linear) -> None:
    """Store the weight of a layer in 16 bits, frozen; what that rounds off is lost."""
    _freeze(layer, None)
    layer.weight = HalfParameter(layer.weight.to(torch.bfloat16), requires_grad=False)


@torch.no_grad()
def precompute_casts(model: nn.Module, never_trained: Collection[str], dtype: torch.dtype) -> None:
    """Cast the weights of linear layers that no step changes to autocast's `dtype`, once.

    The cast stands beside the weight, which evaluations and files go on to use.
    never_trained: names in the state dict.
    """
    casts: dict[int, Tensor] = {}
    for path, layer in model.named_modules():
        if type(layer) is not nn.Linear or f"{strip_wrappers(path)}.weight" not in never_trained:
            continue
        weight = layer._parameters.get("weight")
        if type(weight) is nn.Parameter and weight.dtype is torch.float32:
            if id(weight) not in casts:
                casts[id(weight)] = weight.to(dtype)
            _freeze(layer, casts[id(weight)])


def _freeze(layer: nn.Linear, computed: Tensor | None) -> None:
    layer.__class__ = FrozenLinear
    layer.register_buffer("computed", computed, persistent=False)
