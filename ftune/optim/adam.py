"""Adam and its relatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ftune.config.fields import setting
from ftune.optim.torch_optimizer import TorchOptimizer


@dataclass(frozen=True)
class _Moments(TorchOptimizer):
    betas: tuple[float, float] = setting((0.9, 0.999), at_least=0, below=1)
    """Share kept of the running mean and of the running square of the gradient."""

    eps: float = setting(1e-8, above=0)
    """Added to the denominator."""


@dataclass(frozen=True)
class Adam(_Moments):
    """Adam (Kingma and Ba 2015): steps scaled by running moments of the gradient."""

    weight_decay: float = setting(0.0, at_least=0)
    """L2 penalty, added to the gradient; for decay apart from the gradient use adamw."""

    amsgrad: bool = setting(False)
    """Divides by the largest running square so far (Reddi et al. 2018)."""


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    weight_decay: float = setting(0.01, at_least=0)
    """Each step shrinks the weights by this share of the learning rate."""


@dataclass(frozen=True)
class NAdam(_Moments):
    """Adam with Nesterov momentum (Dozat 2016)."""

    lr: float | Literal["auto"] = setting(2e-3, above=0, words=("auto",))
    """Peak learning rate; `auto` runs lr-find first."""

    momentum_decay: float = setting(0.004, at_least=0)
    """How fast the momentum rises to its full value."""

    weight_decay: float = setting(0.0, at_least=0)
    """L2 penalty, or decay apart from the gradient with `decoupled_weight_decay`."""

    decoupled_weight_decay: bool = setting(False)
    """Shrinks the weights directly, as adamw does."""


@dataclass(frozen=True)
class RAdam(_Moments):
    """Adam with the early variance rectified (Liu et al. 2020)."""

    weight_decay: float = setting(0.0, at_least=0)
    """L2 penalty, or decay apart from the gradient with `decoupled_weight_decay`."""

    decoupled_weight_decay: bool = setting(False)
    """Shrinks the weights directly, as adamw does."""
