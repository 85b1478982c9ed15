"""Layers without weights that keep the shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ftune.config.fields import setting
from ftune.models.shapes import Inputs, Part


@dataclass(frozen=True)
class _Activation:
    module: ClassVar[str]
    arguments: ClassVar[dict[str, int]] = {}

    as_: str | None = setting(None)
    """Name of the layer."""

    def build(self, inputs: Inputs, outputs: int) -> Part:  # noqa: ARG002
        from torch import nn

        return Part(getattr(nn, self.module)(**self.arguments), inputs)


@dataclass(frozen=True)
class Relu(_Activation):
    """max(x, 0)."""

    module = "ReLU"


@dataclass(frozen=True)
class Gelu(_Activation):
    """x · Φ(x) (Hendrycks and Gimpel 2016)."""

    module = "GELU"


@dataclass(frozen=True)
class Silu(_Activation):
    """x · sigmoid(x), also called swish."""

    module = "SiLU"


@dataclass(frozen=True)
class Tanh(_Activation):
    """Hyperbolic tangent."""

    module = "Tanh"


@dataclass(frozen=True)
class Sigmoid(_Activation):
    """1 / (1 + exp(-x))."""

    module = "Sigmoid"


@dataclass(frozen=True)
class Softmax(_Activation):
    """Shares that sum to one over the last dimension; not for a model's end, which gives logits."""

    module = "Softmax"
    arguments: ClassVar[dict[str, int]] = {"dim": -1}


@dataclass(frozen=True)
class Dropout:
    """Zeroes a random share of the values while training (Srivastava et al. 2014)."""

    share: float = setting(0.5, at_least=0, below=1)
    """Probability that a value is zeroed."""
    as_: str | None = setting(None)
    """Name of the layer."""

    def build(self, inputs: Inputs, outputs: int) -> Part:  # noqa: ARG002
        from torch import nn

        return Part(nn.Dropout(self.share), inputs)
