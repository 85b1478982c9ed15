"""Frozen means frozen: no gradients, and no drifting batch statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from torch import nn

from ftune.adapt.lora import Adapters
from ftune.adapt.rules import ParamPlan


class UnfreezeSchedule:
    """Which parameters move in which epoch; gradual unfreezing is a change of phase."""

    def __init__(self, model: nn.Module, effects: Mapping[str, ParamPlan]) -> None:
        self.model, self.effects = model, effects
        self.starts = sorted({e.from_epoch for e in effects.values() if e.train and e.from_epoch})
        self.frozen_roots: list[nn.Module] = []
        self.live_adapters: list[nn.Module] = []

    def enter(self, epoch: int) -> None:
        """Sets gradients and modes for `epoch`; repeating a call changes nothing."""
        for name, parameter in self.model.named_parameters():
            effect = self.effects[name]
            parameter.requires_grad_(effect.train and effect.from_epoch <= epoch)
        self.frozen_roots = frozen_subtrees(self.model)
        self.live_adapters = [
            module for module in adapter_modules(self.model)
            if any(p.requires_grad for p in module.parameters())
        ]  # fmt: skip
        self.train_mode()

    def resting(self) -> list[nn.Module]:
        """The topmost modules that no phase trains."""
        names = {id(p): name for name, p in self.model.named_parameters()}
        return frozen_subtrees(self.model, lambda p: self.effects[names[id(p)]].train)

    def train_mode(self) -> None:
        """Training mode, except where everything is frozen: dropout and statistics rest there.

        An adapter that learns on a frozen module trains, the module itself rests.
        """
        self.model.train()
        for module in self.frozen_roots:
            module.eval()
        for module in self.live_adapters:
            _train_adapter(module)


def frozen_subtrees(
    model: nn.Module, trained: Callable[[nn.Parameter], bool] = lambda p: p.requires_grad
) -> list[nn.Module]:
    """The topmost modules that have parameters, none of which, adapters' apart, is trained."""
    if isinstance(model, Adapters):
        return []
    own = list(_base_parameters(model))
    if own and not any(map(trained, own)):
        return [model]
    return [frozen for child in model.children() for frozen in frozen_subtrees(child, trained)]


def adapter_modules(model: nn.Module) -> list[nn.Module]:
    """LoRA's containers and the wrappers of PEFT's methods, wherever they are."""
    return [m for m in model.modules() if isinstance(m, Adapters) or _is_wrapper(m)]


def _base_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    """Parameters that are the model's own."""
    if isinstance(module, Adapters):
        return
    if _is_wrapper(module):
        yield from _base_parameters(module.get_submodule("base_layer"))
        return
    yield from module.parameters(recurse=False)
    for child in module.children():
        yield from _base_parameters(child)


def _is_wrapper(module: nn.Module) -> bool:
    return "base_layer" in module._modules


def _train_adapter(module: nn.Module) -> None:
    """Training mode for an adapter and not for what it wraps."""
    module.training = True
    for name, child in module.named_children():
        if name != "base_layer":
            child.train()
