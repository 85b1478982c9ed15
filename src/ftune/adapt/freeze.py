"""Frozen means frozen: no gradients, and no drifting batch statistics."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from ftune.adapt.rules import Effect


class Phases:
    """Which parameters move in which epoch; gradual unfreezing is a change of phase."""

    def __init__(self, model: nn.Module, effects: Mapping[str, Effect]) -> None:
        self.model, self.effects = model, effects
        self.starts = sorted({e.from_epoch for e in effects.values() if e.train and e.from_epoch})
        self.frozen_roots: list[nn.Module] = []

    def enter(self, epoch: int) -> None:
        """Sets gradients and modes for `epoch`; repeating a call changes nothing."""
        for name, parameter in self.model.named_parameters():
            effect = self.effects[name]
            parameter.requires_grad_(effect.train and effect.from_epoch <= epoch)
        self.frozen_roots = frozen_subtrees(self.model)
        self.train_mode()

    def train_mode(self) -> None:
        """Training mode, except where everything is frozen: dropout and statistics rest there."""
        self.model.train()
        for module in self.frozen_roots:
            module.eval()


def frozen_subtrees(model: nn.Module) -> list[nn.Module]:
    """The topmost modules that have parameters, none of which is trained."""
    parameters = list(model.parameters())
    if parameters and not any(p.requires_grad for p in parameters):
        return [model]
    return [frozen for child in model.children() for frozen in frozen_subtrees(child)]
