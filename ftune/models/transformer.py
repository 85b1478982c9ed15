"""The transformer block over [time, features]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.models.init import Init
from ftune.models.shapes import Inputs, Part, misfit


@dataclass(frozen=True)
class Transformer:
    """One transformer block: attention, then a feed-forward network (Vaswani et al. 2017).

    A small GPT is an `embedding` with `positions: learned`, a `repeat` of this with `causal: true`,
    `layernorm` and `linear: out`.
    """

    heads: int = setting(at_least=1, at_most=10_000)
    """Number of attention heads."""
    width: int | None = setting(None, at_least=1, at_most=1_000_000)
    """Size of all heads together; null is the number of features."""
    feedforward: int | None = setting(None, at_least=1, at_most=10_000_000)
    """Hidden size of the feed-forward network; null is 4 times the features (swiglu: 8/3)."""
    dropout: float = setting(0.0, at_least=0, below=1)
    """Share zeroed while training: of attention weights, and of what is added."""
    causal: bool = setting(False)
    """Whether a position sees itself and earlier ones only, as language modelling needs."""
    positions: Literal["none", "rotary"] = setting("none")
    """rotary: attention knows distances (Su et al. 2021), and the embedding needs no positions."""
    norm: Literal["layernorm", "rmsnorm"] = setting("layernorm")
    """Normalisation."""
    activation: Literal["gelu", "relu", "silu", "swiglu"] = setting("gelu")
    """Inside the feed-forward network; swiglu is gated (Shazeer 2020)."""
    pre_norm: bool = setting(True)
    """Whether what goes into attention and feed-forward is normalised, else what comes out."""
    bias: bool = setting(True)
    """Whether linear layers and layernorm have a bias."""
    init: Init = setting("normal")
    """How the weights start; `normal` divides what each block adds by √(2 · blocks), as GPT-2."""
    as_: str | None = setting(None)
    """Name of the layer in the checkpoint and in rules."""

    def __post_init__(self) -> None:
        if self.width is not None:
            fault = self._fault(self.width)
            if fault:
                raise SettingError("heads", fault)

    def build(self, inputs: Inputs, outputs: int) -> Part:  # noqa: ARG002
        if len(inputs.shape) != 2 or 0 in inputs.shape:
            advice = "add `embedding` for tokens, or `reshape: [time, features]` before it"
            raise misfit("[time, features]", inputs, advice)
        features = inputs.shape[1]
        fault = self._fault(self.width or features)
        if fault:
            raise misfit("features that the heads can share", inputs, fault)
        from ftune.models.blocks import TransformerBlock

        block = TransformerBlock(
            features, self.heads, width=self.width, feedforward=self.feedforward,
            dropout=self.dropout, causal=self.causal, rotary=self.positions == "rotary",
            norm=self.norm, activation=self.activation, pre_norm=self.pre_norm, bias=self.bias,
            init=self.init,
        )  # fmt: skip
        return Part(block, inputs.over_time(features))

    def _fault(self, width: int) -> str:
        """In words, why the heads cannot share `width` features; "" where they can."""
        if width % self.heads:
            return f"{width} features cannot be split into {self.heads} heads"
        if self.positions == "rotary" and width // self.heads % 2:
            return f"rotary positions need heads of an even size, these have {width // self.heads}"
        return ""
