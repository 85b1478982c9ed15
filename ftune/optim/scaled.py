"""Optimizers that scale each step by the gradient's size alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ftune.config.fields import setting
from ftune.optim.torch_optimizer import TorchOptimizer


@dataclass(frozen=True)
class RMSprop(TorchOptimizer):
    """Divides by a running root mean square of the gradient (Hinton 2012)."""

    alpha: float = setting(0.99, at_least=0, below=1)
    """Share kept of the running square of the gradient."""

    eps: float = setting(1e-8, above=0)
    """Added to the denominator."""

    momentum: float = setting(0.0, at_least=0, below=1)
    """Share of the previous update that is kept."""

    centered: bool = setting(False)
    """Divides by the running variance instead of the running square."""

    weight_decay: float = setting(0.0, at_least=0)
    """L2 penalty, added to the gradient."""


@dataclass(frozen=True)
class Adagrad(TorchOptimizer):
    """Divides by the root of the summed squares of all gradients (Duchi et al. 2011)."""

    lr: float | Literal["auto"] = setting(1e-2, above=0, words=("auto",))
    """Peak learning rate; `auto` runs lr-find first."""

    lr_decay: float = setting(0.0, at_least=0)
    """After n steps the rate is divided by 1 + n times this, beside the schedule."""

    initial_accumulator_value: float = setting(0.0, at_least=0)
    """What the sum of squares starts from."""

    eps: float = setting(1e-10, above=0)
    """Added to the denominator."""

    weight_decay: float = setting(0.0, at_least=0)
    """L2 penalty, added to the gradient."""


@dataclass(frozen=True)
class Adafactor(TorchOptimizer):
    """Keeps row and column means of the squared gradient only (Shazeer and Stern 2018)."""

    lr: float | Literal["auto"] = setting(1e-2, above=0, words=("auto",))
    """Peak learning rate, relative to the size of each parameter; `auto` runs lr-find first."""

    beta2_decay: float = setting(-0.8, below=0)
    """Exponent by which the running square forgets."""

    eps: float | None = setting(None, above=0)
    """Least squared gradient; null is the precision of the parameter's type."""

    least_scale: float = setting(1e-3, above=0)
    """Least size a parameter is taken to have when its rate is scaled (torch's second eps)."""

    d: float = setting(1.0, at_least=1)
    """Updates whose root mean square is larger than this are scaled down to it."""

    weight_decay: float = setting(0.0, at_least=0)
    """Each step shrinks the weights by this share of the learning rate."""

    def arguments(self) -> dict[str, Any]:
        settings = super().arguments()
        return settings | {"eps": (self.eps, settings.pop("least_scale"))}
