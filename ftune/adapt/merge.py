"""Adapters folded into the weights, and taken out again exactly."""

from __future__ import annotations

import copy

import torch
from torch import nn

from ftune.adapt.adaptable import matrix_of
from ftune.adapt.attach import detach
from ftune.adapt.lora import adapted_modules
from ftune.adapt.names import holders
from ftune.adapt.peft_methods import fold_methods, merge_methods, unmerge_methods
from ftune.adapt.quantize import plain_weight


def merge(model: nn.Module) -> list[str]:
    """Folds the active adapters into the weights of their modules, in place.

    The original weights are kept for `unmerge`. A weight that is shared with another module is
    untied first, since only this module was adapted; the paths of such modules are returned.
    Quantised weights become plain ones.
    """
    untied = _merge_lora(model)
    merge_methods(model)
    return untied


@torch.no_grad()
def _merge_lora(model: nn.Module) -> list[str]:
    held_by = holders(model.named_modules())
    untied = []
    for path, (module, adapters) in adapted_modules(model).items():
        weight = module.weight
        if adapters.original or not adapters.live():
            continue
        assert isinstance(weight, nn.Parameter)
        matrix = matrix_of(module)
        merged = matrix + sum(a.change(matrix.to(a.A.dtype)) for a in adapters.live())
        folded = adapters.live()[0].kind.weight(merged, plain_weight(weight)).to(matrix.dtype)
        adapters.original = (weight, type(module))
        if hasattr(weight, "quant_state"):  # 4-bit layers compute with nothing else
            module.__class__ = nn.Linear
        module._parameters["weight"] = nn.Parameter(folded.contiguous(), requires_grad=False)
        untied += [path] if len(held_by[id(weight)]) > 1 else []
    return untied


def unmerge(model: nn.Module) -> None:
    """The original weights back, bit for bit, and tied where they were."""
    unmerge_methods(model)
    for module, adapters in adapted_modules(model).values():
        if adapters.original:
            module._parameters["weight"], module.__class__ = adapters.original
            adapters.original = None


def folded(model: nn.Module) -> tuple[nn.Module, list[str]]:
    """A copy with every adapter merged and none left, in evaluation mode, as the plain model.

    Also returns the modules whose weights are no longer shared. Raises RequestError for a
    method of PEFT that cannot be merged.
    """
    plain = copy.deepcopy(model).eval()
    unmerge(plain)
    untied = _merge_lora(plain)  # first, since it lies inside the wrappers of PEFT's methods
    plain = fold_methods(plain)
    detach(plain)
    return plain, untied
