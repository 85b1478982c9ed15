"""The multi-layer perceptron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.models import LAYERS
from ftune.models.activation import Dropout
from ftune.models.arrange import Flatten
from ftune.models.embedding import Embedding
from ftune.models.init import Init
from ftune.models.linear import Linear
from ftune.models.pool import GlobalPool
from ftune.models.sequential import Sequential
from ftune.models.shapes import Built, Inputs, Layer


@dataclass(frozen=True)
class Mlp:
    """Linear layers `layer1`, `layer2`, … and `head`; each but the last is followed by norm,
    activation and dropout."""

    width: int = setting(128, at_least=1, at_most=1_000_000)
    """Size of each hidden layer."""
    depth: int = setting(2, at_least=0, at_most=1000)
    """Number of hidden layers."""
    hidden: list[int] | None = setting(None, at_least=1, at_most=1_000_000)
    """Sizes of the hidden layers one by one, instead of width and depth."""
    activation: Literal["relu", "gelu", "silu", "tanh"] = setting("relu")
    """What follows each hidden layer."""
    dropout: float = setting(0.0, at_least=0, below=1)
    """Share of hidden values zeroed while training."""
    norm: Literal["none", "batchnorm", "layernorm"] = setting("none")
    """Normalisation of each hidden layer, before its activation."""
    embed: int | Literal["auto", "none"] = setting("auto", at_least=1, words=("auto", "none"))
    """Width of the learned vectors that replace ordinal columns; `none` keeps the codes. Of texts,
    the mean of their tokens' vectors is read (`auto`: as wide as the layers)."""
    init: Init = setting("default")
    """How the weights of the linear layers start."""

    def __post_init__(self) -> None:
        if self.hidden is not None and (self.width, self.depth) != (128, 2):
            raise SettingError("hidden", "replaces `width` and `depth`; leave one of the two out")

    def build(self, inputs: Inputs, outputs: int) -> Built:
        return Sequential(self.layers(inputs)).build(inputs, outputs)

    def layers(self, inputs: Inputs) -> tuple[Layer, ...]:
        """The same model as a list of layers."""
        layers: list[Layer] = [Flatten()] if len(inputs.shape) != 1 else []
        if inputs.vocabulary and self.embed != "none":  # the mean of word vectors, as in fastText
            layers = [Embedding(self.width if self.embed == "auto" else self.embed), GlobalPool()]
        elif inputs.categories and self.embed != "none":
            layers.append(Embedding(self.embed))
        sizes = [self.width] * self.depth if self.hidden is None else self.hidden
        for index, size in enumerate(sizes, 1):
            layers += self._hidden(size, f"layer{index}")
        return (*layers, Linear("out", init=self.init))

    def _hidden(self, size: int, name: str) -> list[Layer]:
        layers: list[Layer] = [Linear(size, init=self.init, as_=name)]
        if self.norm != "none":
            layers.append(LAYERS[self.norm]())
        layers.append(LAYERS[self.activation]())
        return [*layers, Dropout(self.dropout)] if self.dropout else layers
