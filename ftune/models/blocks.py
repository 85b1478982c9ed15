"""The transformer block. x: [batch, time, features]; segments: see `tokens`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ftune.models.init import Init, initialise
from ftune.models.tokens import places, same_sample


class TransformerBlock(nn.Module):
    """Attention and feed-forward, each added to its input (Vaswani et al. 2017).

    With `pre_norm` the input of each is normalised (GPT-2), else the sum (BERT). width: of all
    heads together, the features by default. feedforward: hidden size, see `default_hidden`.
    """

    def __init__(
        self,
        features: int,
        heads: int,
        *,
        width: int | None = None,
        feedforward: int | None = None,
        dropout: float = 0.0,
        causal: bool = False,
        rotary: bool = False,
        norm: str = "layernorm",
        activation: str = "gelu",
        pre_norm: bool = True,
        bias: bool = True,
        init: Init = "normal",
    ) -> None:
        super().__init__()
        self.pre_norm = pre_norm
        self.scaled = init == "normal"
        self.norm1, self.norm2 = (_norm(features, norm, bias) for _ in range(2))
        width = width or features
        self.attention = Attention(features, heads, width, dropout, causal, rotary, bias)
        hidden = feedforward or default_hidden(features, activation)
        self.feedforward = FeedForward(features, hidden, activation, bias)
        self.dropout = nn.Dropout(dropout)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                initialise(module, init)

    def forward(self, x: Tensor, segments: Tensor | None = None) -> Tensor:
        if self.pre_norm:
            x = x + self.dropout(self.attention(self.norm1(x), segments))
            x = x + self.dropout(self.feedforward(self.norm2(x)))
        else:
            x = self.norm1(x + self.dropout(self.attention(x, segments)))
            x = self.norm2(x + self.dropout(self.feedforward(x)))
        return x


class Attention(nn.Module):
    """softmax(QK' / √d) V in `heads` heads, over the positions of the same sample."""

    def __init__(
        self, features: int, heads: int, width: int, dropout: float, causal: bool, rotary: bool,
        bias: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.heads, self.causal, self.share, self.rotary = heads, causal, dropout, rotary
        self.query = nn.Linear(features, width, bias)
        self.key = nn.Linear(features, width, bias)
        self.value = nn.Linear(features, width, bias)
        self.out = nn.Linear(width, features, bias)

    def forward(self, x: Tensor, segments: Tensor | None = None) -> Tensor:
        q, k, v = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        if self.rotary:
            angles = places(x, segments)
            q, k = rotated(q, angles), rotated(k, angles)
        mask = None if segments is None else same_sample(segments, self.causal)
        heads = F.scaled_dot_product_attention(
            q, k, v, mask,
            dropout_p=self.share if self.training else 0.0,
            is_causal=self.causal and mask is None,
        )  # fmt: skip
        mixed: Tensor = self.out(heads.transpose(1, 2).flatten(2))
        return mixed


def rotated(x: Tensor, places: Tensor) -> Tensor:
    """Each half pair of a head turned by its place (Su et al. 2021): [batch, heads, time, size]."""
    size = x.shape[-1]
    rates = 1e4 ** (-torch.arange(0, size, 2, device=x.device) / size)
    angles = places[..., None] * rates  # [time, size/2], or a batch of them
    if places.dim() == 2:
        angles = angles[:, None]
    a, b = x.chunk(2, -1)
    sine, cosine = angles.sin().to(x.dtype), angles.cos().to(x.dtype)
    return torch.cat([a * cosine - b * sine, b * cosine + a * sine], -1)


class FeedForward(nn.Module):
    """features -> hidden -> features at each position; swiglu: silu(gate) · up (Shazeer 2020)."""

    def __init__(self, features: int, hidden: int, activation: str, bias: bool) -> None:
        super().__init__()
        self.activation = activation
        self.up = nn.Linear(features, hidden, bias)
        if activation == "swiglu":
            self.gate = nn.Linear(features, hidden, bias)
        self.down = nn.Linear(hidden, features, bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.activation == "swiglu":
            wide = F.silu(self.gate(x)) * self.up(x)
        else:
            wide = getattr(F, self.activation)(self.up(x))
        narrow: Tensor = self.down(wide)
        return narrow


def default_hidden(features: int, activation: str) -> int:
    """4 times the features; swiglu has a third matrix: two thirds of it, in steps of 8."""
    return 8 * round(features / 3) if activation == "swiglu" else 4 * features


def _norm(features: int, norm: str, bias: bool) -> nn.Module:
    if norm == "rmsnorm":
        return nn.RMSNorm(features, eps=1e-6)
    return nn.LayerNorm(features, bias=bias)


def scale_residuals(model: nn.Module) -> None:
    """Divides what each block adds at the start by √(2 · blocks), so that depth adds no variance.

    GPT-2's initialisation; for blocks that start as `normal`.
    """
    blocks = [module for module in model.modules() if isinstance(module, TransformerBlock)]
    with torch.no_grad():
        for block in (block for block in blocks if block.scaled):
            for layer in (block.attention.out, block.feedforward.down):
                layer.weight.div_((2 * len(blocks)) ** 0.5)
