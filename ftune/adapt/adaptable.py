"""The modules that low-rank updates fit, each seen as one matrix [outputs, inputs].

Every kind answers the same five questions, so that training, merging, DoRA and PEFT's format
need no cases of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ftune.adapt.quantize import plain_weight


class MatrixLayout:
    """nn.Linear: weight [outputs, inputs]. The other kinds say where they differ."""

    takes_ids = False

    def matrix(self, weight: Tensor) -> Tensor:
        """The weight as [outputs, inputs]."""
        return weight

    def weight(self, matrix: Tensor, like: Tensor) -> Tensor:
        """The inverse of `matrix`, in the shape of `like`."""
        return matrix.view_as(like)

    def down(self, module: Any, x: Tensor, factor: Tensor) -> Tensor:  # noqa: ARG002
        """x through `factor` [rank, inputs]."""
        return F.linear(x, factor)

    def up(self, module: Any, hidden: Tensor, factor: Tensor) -> Tensor:  # noqa: ARG002
        """What `down` gave through `factor` [outputs, rank]."""
        return F.linear(hidden, factor)

    def plain(self, module: Any, x: Tensor, matrix: Tensor) -> Tensor:
        """What the module makes of x with the weight `matrix` and no bias."""
        return self.down(module, x, matrix)

    def along(self, vector: Tensor, module: Any) -> Tensor:  # noqa: ARG002
        """A vector [outputs] in a shape that multiplies the module's output."""
        return vector


class Transposed(MatrixLayout):
    """transformers' Conv1D, a linear layer with weight [inputs, outputs]."""

    def matrix(self, weight: Tensor) -> Tensor:
        return weight.t()

    def weight(self, matrix: Tensor, like: Tensor) -> Tensor:
        return matrix.t().reshape(like.shape)


class Rows(Transposed):
    """nn.Embedding: weight [ids, dim], the transpose of a linear layer on one-hot inputs."""

    takes_ids = True

    def down(self, module: Any, x: Tensor, factor: Tensor) -> Tensor:
        return F.embedding(x, factor.t(), module.padding_idx)


class Window(MatrixLayout):
    """nn.Conv1d, 2d and 3d, grouped or not: weight [outputs, inputs / groups, *kernel].

    Each group of inputs goes through the same A, each output through its own row of B; the sum
    equals a convolution with B · A in the weight's shape, whatever the groups.
    """

    def matrix(self, weight: Tensor) -> Tensor:
        return weight.flatten(1)

    def down(self, module: Any, x: Tensor, factor: Tensor) -> Tensor:
        shape = module.weight.shape
        kernel = factor.view(-1, *shape[1:]).repeat(module.groups, *(1,) * (len(shape) - 1))
        return module._conv_forward(x, kernel, None)  # type: ignore[no-any-return]

    def up(self, module: Any, hidden: Tensor, factor: Tensor) -> Tensor:
        dims = module.weight.dim() - 2
        convolve: Callable[..., Tensor] = (F.conv1d, F.conv2d, F.conv3d)[dims - 1]
        return convolve(hidden, factor.view(*factor.shape, *(1,) * dims), groups=module.groups)

    def plain(self, module: Any, x: Tensor, matrix: Tensor) -> Tensor:
        return module._conv_forward(x, matrix.view(module.weight.shape), None)  # type: ignore[no-any-return]

    def along(self, vector: Tensor, module: Any) -> Tensor:
        return vector.view(-1, *(1,) * (module.weight.dim() - 2))


DENSE, TRANSPOSED, ROWS, WINDOW = MatrixLayout(), Transposed(), Rows(), Window()


def layout_of(module: nn.Module) -> MatrixLayout | None:
    """How `module` is adapted, or None."""
    if isinstance(module, nn.Linear):
        return DENSE
    if isinstance(module, nn.Embedding):
        return ROWS
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return WINDOW
    weight = getattr(module, "weight", None)
    if type(module).__name__ == "Conv1D" and isinstance(weight, Tensor) and weight.dim() == 2:
        return TRANSPOSED
    return None


def why_not_adaptable(module: nn.Module, parent: nn.Module | None) -> str | None:
    """Why `module` cannot be adapted, in words; None where it can."""
    if layout_of(module) is None:
        return f"{type(module).__name__} has no matrix to adapt"
    if not isinstance(module._parameters.get("weight"), nn.Parameter):
        return "its weight is computed from others (a parametrisation)"
    if isinstance(parent, nn.MultiheadAttention):
        return "nn.MultiheadAttention reads its weights past the module, an adapter would be idle"
    if isinstance(module, nn.Embedding) and module.max_norm is not None:
        return "max_norm rescales its rows while it runs"
    return None


def matrix_of(module: nn.Module) -> Tensor:
    """The weight of an adaptable module as [outputs, inputs], dequantised."""
    kind = layout_of(module)
    assert kind is not None
    weight = module.weight
    assert isinstance(weight, Tensor)
    return kind.matrix(plain_weight(weight))
