"""Activation checkpointing by block: a block keeps its inputs, and is computed again for backward.

Chen et al. 2016, "Training deep nets with sublinear memory cost" (arXiv:1604.06174).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint

from ftune.adapt.block_list import block_list
from ftune.errors import RequestError


def checkpoint_blocks(model: nn.Module) -> None:
    """Make each block of several layers compute its activations again in the backward pass.

    Random numbers, types and batch statistics are those of the first time, so that losses and
    gradients stay the same to the bit. Raises RequestError for a model without such a block.
    """
    blocks = [module for block in block_list(model).blocks for module in block.values()]
    composite = [block for block in blocks if next(block.children(), None) is not None]
    if not composite:
        raise RequestError(
            "train.activation_checkpointing: this model has no block of several layers whose "
            "activations could be computed again; leave it out"
        )
    for block in composite:
        block.forward = partial(_checkpointed, block.forward, _norms(block))


def _checkpointed(
    forward: Callable[..., Any], norms: list[_NormBase], *args: Any, **kwargs: Any
) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    contexts = partial(_contexts, norms)
    return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)


def _norms(block: nn.Module) -> list[_NormBase]:
    return [m for m in block.modules() if isinstance(m, _NormBase) and m.track_running_stats]


def _contexts(
    norms: list[_NormBase],
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return the contexts of the first and of the second forward pass."""
    return nullcontext(), unmoved([norm for norm in norms if norm.training])


@contextmanager
def unmoved(norms: list[_NormBase]) -> Iterator[None]:
    """Let running statistics stay: they move once a step, not again when a block is recomputed."""
    momenta = [norm.momentum for norm in norms]
    counts = [norm.num_batches_tracked for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = None
    try:
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
