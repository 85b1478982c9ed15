"""Count what a model computes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ftune.models.call import evaluating


def count_macs(model: nn.Module, *sample: Tensor) -> int:
    """Return the multiply-adds of one forward pass of `sample`, in modules that have a weight."""
    counted = 0

    def count(module: nn.Module, _: Any, output: Any) -> None:
        nonlocal counted
        counted += macs_of_call(module, output)

    hooks = [m.register_forward_hook(count) for m in model.modules()]
    with torch.no_grad(), evaluating(model):
        model(*sample)
    for hook in hooks:
        hook.remove()
    return counted


def macs_of_call(module: nn.Module, output: Any) -> int:
    """Return the multiply-adds by which a module with a weight made `output`; of others 0."""
    weight = getattr(module, "weight", None)
    if isinstance(weight, Tensor) and isinstance(output, Tensor) and weight.dim() > 1:
        return output.numel() * weight[0].numel()
    return 0
