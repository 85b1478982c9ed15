"""Modules over texts. x: int64 [batch, time] or float [batch, time, features]; segments: int64
[batch, time], 0 for padding, else 1, 2, … the number of the sample within its row.

From the segments follow who may see whom and where each sample begins; without them every position
is real and of one sample.
"""

from __future__ import annotations

import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ftune.models.call import evaluating


class Chain(nn.Sequential):
    """One child after the other; those whose `forward` takes `segments` are given them."""

    def forward(self, x: Tensor, segments: Tensor | None = None) -> Tensor:
        for module in self:
            x = apply(module, x, segments)
        return x


class TokenModel(Chain):
    """A chain that ends with its output layer, to be asked for a few positions only."""

    def __init__(self, children: OrderedDict[str, nn.Module]) -> None:
        super().__init__(children)

    def hidden(self, x: Tensor, segments: Tensor | None = None) -> Tensor:
        """What reaches the output layer: [batch, time, features]."""
        *body, _ = self
        for module in body:
            x = apply(module, x, segments)
        return x

    @property
    def output_layer(self) -> nn.Module:
        """[…, features] -> […, outputs]."""
        *_, head = self
        return head


def apply(module: nn.Module, x: Tensor, segments: Tensor | None) -> Tensor:
    """`module(x)`, with the segments where there are some and it takes them."""
    given = segments is not None and takes_segments(type(module).forward)
    y: Tensor = module(x, segments) if given else module(x)
    return y


@functools.cache
def takes_segments(forward: Callable[..., Tensor]) -> bool:
    return "segments" in inspect.signature(forward).parameters


def places(x: Tensor, segments: Tensor | None) -> Tensor:
    """Where each position stands in its sample, from 0: int64 [time], with segments [batch, time].

    x: [batch, time, …].
    """
    count = torch.arange(x.shape[1], device=x.device)
    if segments is None:
        return count
    if torch.compiler.is_exporting():  # ONNX has no running maximum; this takes more memory
        return same_sample(segments, causal=True)[:, 0].sum(-1) - 1
    before = torch.cat([segments[:, :1] - 1, segments], 1)[:, : x.shape[1]]
    return count - (count * (segments != before)).cummax(1).values


def same_sample(segments: Tensor, causal: bool) -> Tensor:
    """Whether a position (row) may see another (column): bool [batch, 1, time, time]."""
    seen = segments[:, None, :, None] == segments[:, None, None, :]
    return seen.tril() if causal else seen


class TokenEmbedding(nn.Embedding):
    """Ids, whole numbers of any type, [batch, time] -> [batch, time, size].

    `placed`: a vector per place in the sample is added, learned or of sines (Vaswani et al. 2017);
    there are `time` of them.
    """

    sines: Tensor

    def __init__(self, vocabulary: int, size: int, time: int = 0, placed: str = "none") -> None:
        super().__init__(vocabulary, size)
        self.placed = placed
        if placed == "learned":
            self.positions = nn.Embedding(time, size)
        elif placed == "sinusoidal":
            self.register_buffer("sines", sines(time, size), persistent=False)

    def forward(self, x: Tensor, segments: Tensor | None = None) -> Tensor:
        vectors = super().forward(x.long())
        if self.placed == "none":
            return vectors
        at = places(x, segments)
        learned = self.placed == "learned"  # through the module, so that adapters on it count
        added: Tensor = self.positions(at) if learned else F.embedding(at, self.sines)
        return vectors + added


def sines(time: int, size: int) -> Tensor:
    """Sine and cosine of each place at `size / 2` wavelengths from 2π to 10000·2π: [time, size]."""
    angles = torch.arange(time)[:, None] * 1e4 ** (-torch.arange(0, size, 2) / size)
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)[:, :size]


class PoolTime(nn.Module):
    """[batch, time, features] -> [batch, features] over the real positions."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor, segments: Tensor | None = None) -> Tensor:
        return pool(x, segments, self.kind)

    def extra_repr(self) -> str:
        return self.kind


def pool(x: Tensor, segments: Tensor | None, kind: str) -> Tensor:
    """The mean (`avg`), maximum (`max`), `first` or `last` of the real positions of each row."""
    if kind == "first":
        return x[:, 0]
    if segments is None:
        segments = torch.ones_like(x[..., 0])
    real = (segments > 0)[..., None]
    if kind == "avg":
        return (x * real).sum(1) / real.sum(1).clamp(min=1)
    if kind == "max":
        return x.masked_fill(~real, -torch.inf).amax(1)
    ends = (torch.arange(x.shape[1], device=x.device)[:, None] * real).amax(1, keepdim=True)
    return x.gather(1, ends.expand(-1, -1, x.shape[2])).squeeze(1)


def sees_later(model: nn.Module, time: int, vocabulary: int) -> bool:
    """Whether what comes out at a position depends on the token after it."""
    ids = torch.arange(time).remainder(vocabulary).expand(2, -1).clone()
    ids[1, -1] = (ids[1, -1] + 1) % vocabulary
    with torch.no_grad(), evaluating(model):
        first, second = model(ids)[:, :-1]
    return not torch.allclose(first, second, rtol=1e-4, atol=1e-5)
