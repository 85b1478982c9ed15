"""One forward pass, watched: which modules are called, in which order, and with what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.random import fork_rng
from torch.utils._pytree import tree_leaves

from ftune.adapt.block_list import block_list
from ftune.models.flops import macs_of_call
from ftune.objectives import Batch, Forward

Slot = int | str
"""Where a call has its first tensor of floats: among the arguments, or by keyword."""


@dataclass
class Call:
    """A call of one module.

    clean: whether its arguments depend on nothing that is trained or random. input: its first
    tensor of floats. named: the further arguments as keys of the batch; None where one is
    something else. macs: multiply-adds before the call. output: what it returned.
    """

    path: str
    module: nn.Module
    input: Tensor | None
    named: tuple[str, ...] | None
    clean: bool
    macs: int
    is_block: bool
    output: Any = None


@dataclass
class Trace:
    """The calls of a forward pass over `batch` in order, and what it gave."""

    model: nn.Module
    batch: Batch
    calls: list[Call] = field(default_factory=list)
    outputs: Any = None
    macs: int = 0


def traced(model: nn.Module, forward: Forward, batch: Batch) -> Trace:
    """Return the calls of stem, blocks and head, and of what lies between them.

    The model is run in the modes that it has, and left as it was.
    """
    trace, layers = Trace(model, batch), block_list(model)
    blocks = {path for block in layers.blocks for path in block}
    members = {**layers.stem, **layers.head}
    members |= {path: module for block in layers.blocks for path, module in block.items()}
    with untouched(model):
        watch = _Watch(model, trace, blocks)
        hooks = [hook for item in _top_level(model, members).items() for hook in watch.hooks(*item)]
        hooks += [m.register_forward_hook(partial(_count, trace)) for m in model.modules()]
        try:
            with torch.enable_grad():
                trace.outputs, _ = forward(batch)
        finally:
            for hook in hooks:
                hook.remove()
    return trace


class _Watch:
    """Writes the calls of modules into a trace, and whether anything random came before."""

    def __init__(self, model: nn.Module, trace: Trace, blocks: set[str]) -> None:
        self.model, self.trace, self.blocks = model, trace, blocks
        self.random, self.versions = _random_state(), _versions(model)

    def hooks(self, path: str, module: nn.Module) -> list[Any]:
        before = module.register_forward_pre_hook(partial(self._call, path), with_kwargs=True)
        return [before, module.register_forward_hook(self._returned)]

    def _call(self, path: str, module: nn.Module, args: Any, kwargs: Any) -> None:
        slot, x = first_floats(args, kwargs)
        named = _named(args[1:], self.trace.batch) if slot == 0 and not kwargs else None
        clean = self._clean(tree_leaves((args, kwargs)))
        at = self.trace.macs
        self.trace.calls.append(Call(path, module, x, named, clean, at, path in self.blocks))

    def _clean(self, values: list[Any]) -> bool:
        if any(isinstance(value, Tensor) and value.requires_grad for value in values):
            return False
        drawn = not all(map(torch.equal, self.random, _random_state()))
        return not drawn and _versions(self.model) == self.versions

    def _returned(self, module: nn.Module, _: Any, output: Any) -> None:
        call = next(call for call in reversed(self.trace.calls) if call.module is module)
        call.output = output


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Put random numbers and statistics back after passes that are no part of the training."""
    moving = (buffer for m in model.modules() if m.training for buffer in m.buffers(recurse=False))
    buffers = [(buffer, buffer.clone()) for buffer in moving]
    try:
        with fork_rng():
            yield
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)


def first_floats(args: Any, kwargs: Any) -> tuple[Slot | None, Tensor | None]:
    """Return where the first tensor of floats is among the arguments of a call, and the tensor."""
    for slot, value in (*enumerate(args), *kwargs.items()):
        if isinstance(value, Tensor) and value.is_floating_point():
            return slot, value
    return None, None


def _top_level(model: nn.Module, members: dict[str, nn.Module]) -> dict[str, nn.Module]:
    """Return the members, and the topmost modules without parameters outside of them."""
    chosen: dict[str, nn.Module] = {}
    for path, module in model.named_modules():
        inside = any(path.startswith(f"{other}.") for other in chosen)
        bare = bool(path) and next(module.parameters(), None) is None
        if not inside and (path in members or bare):
            chosen[path] = module
    return chosen


def _count(trace: Trace, module: nn.Module, _: Any, output: Any) -> None:
    if not isinstance(module, nn.Embedding):  # it looks rows up
        trace.macs += macs_of_call(module, output)


def _named(values: Any, batch: Batch) -> tuple[str, ...] | None:
    keys = [next((k for k, t in batch.items() if t is value), None) for value in values]
    return None if None in keys else tuple(key for key in keys if key is not None)


def _random_state() -> list[Tensor]:
    states = [torch.get_rng_state()]
    if torch.cuda.is_available():
        states.append(torch.cuda.get_rng_state())
    return states


def _versions(model: nn.Module) -> list[int]:
    return [buffer._version for buffer in model.buffers()]
