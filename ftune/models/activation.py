"""Layers without weights that keep the shape."""

from __future__ import annotations

from dataclasses import dataclass

from ftune.config.fields import setting
from ftune.models.shapes import Inputs, Part


@dataclass(frozen=True)
class _Activation:
    as_: str | None = setting(None)
    """Name of the layer."""

    def build(self, inputs: Inputs, outputs: int) -> Part:  # noqa: ARG002
        from torch import nn

        return Part(getattr(nn, self.module)(), inputs)  # type: ignore[attr-defined]


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
class Softmax:
    """Shares that sum to one over the last dimension; not for a model's end, which gives logits."""

    as_: str | None = setting(None)
    """Name of the layer."""

    def build(self, inputs: Inputs, outputs: int) -> Part:  # noqa: ARG002
        from torch import nn

        return Part(nn.Softmax(dim=-1), inputs)


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
