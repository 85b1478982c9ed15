"""Stochastic gradient descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.optim.torch_optimizer import TorchOptimizer


@dataclass(frozen=True)
class Sgd(TorchOptimizer):
    """Stochastic gradient descent, with momentum as in torch.optim.SGD."""

    kind: ClassVar[str] = "SGD"

    lr: float | Literal["auto"] = setting(0.1, above=0, words=("auto",))
    """Peak learning rate; `auto` runs lr-find first."""

    momentum: float = setting(0.9, at_least=0, below=1)
    """Share of the previous update that is kept."""

    nesterov: bool = setting(False)
    """Looks one momentum step ahead (Sutskever et al. 2013)."""

    dampening: float = setting(0.0, at_least=0, at_most=1)
    """Share of each gradient that the momentum leaves out."""

    weight_decay: float = setting(0.0, at_least=0)
    """L2 penalty, added to the gradient."""

    def __post_init__(self) -> None:
        if self.nesterov and not self.momentum:
            raise SettingError("nesterov", "needs `momentum` above 0")
        if self.nesterov and self.dampening:
            raise SettingError("nesterov", "needs `dampening: 0`")
