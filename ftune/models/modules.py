"""Modules that torch does not have. x: [batch, …]; see each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ftune.models.tokens import Chain, apply


class GlobalAverage(nn.Module):
    """[batch, channels, …] -> [batch, channels], the mean over all positions."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).mean(2)


class GlobalMaximum(nn.Module):
    """[batch, channels, …] -> [batch, channels], the maximum over all positions."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).amax(2)


class Rearranged(nn.Module):
    """[batch, …] -> [batch, *shape]."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], *self.shape)

    def extra_repr(self) -> str:
        return str(list(self.shape))


class Residual(Chain):
    """x + children(x); the shape stays."""

    def forward(self, x: Tensor, segments: Tensor | None = None) -> Tensor:
        return x + super().forward(x, segments)


class ProjectedResidual(nn.Sequential):
    """first(x) + others(x): the first child brings x to the shape of the others' output."""

    def forward(self, x: Tensor, segments: Tensor | None = None) -> Tensor:
        projection, *body = self
        skip: Tensor = projection(x)
        for module in body:
            x = apply(module, x, segments)
        return skip + x


class ColumnEmbedding(nn.Module):
    """[batch, columns] -> [batch, others + widths]: plain columns first, then a vector per code.

    `others` and `chosen` are positions of columns; `tables` stand in the order of `chosen`.
    """

    others: Tensor
    chosen: Tensor

    def __init__(self, others: Sequence[int], chosen: Sequence[int], tables: nn.ModuleDict) -> None:
        super().__init__()
        self.tables = tables
        # Follow from the structure: moved with the module, but no part of the checkpoint.
        self.register_buffer("others", torch.tensor(others, dtype=torch.long), persistent=False)
        self.register_buffer("chosen", torch.tensor(chosen, dtype=torch.long), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        codes = x.index_select(1, self.chosen).long().unbind(1)
        vectors = [table(code) for table, code in zip(self.tables.values(), codes, strict=True)]
        return torch.cat([x.index_select(1, self.others), *vectors], 1)
