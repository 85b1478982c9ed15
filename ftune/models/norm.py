"""Normalisation; what it runs over follows from the running shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ftune.config.fields import setting
from ftune.models.shapes import Inputs, Part, misfit

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class BatchNorm:
    """Over the batch, per feature or channel (Ioffe and Szegedy 2015)."""

    momentum: float = setting(0.1, above=0, at_most=1)
    """Share of the newest batch in the running statistics."""
    eps: float = setting(1e-5, above=0)
    """Added to the variance."""
    as_: str | None = setting(None)
    """Name of the layer in the checkpoint and in rules."""

    def build(self, inputs: Inputs, outputs: int) -> Part:  # noqa: ARG002
        from torch import nn

        _check_channels(inputs)
        kind = nn.BatchNorm2d if len(inputs.shape) == 3 else nn.BatchNorm1d
        return _part(kind(inputs.shape[0], self.eps, self.momentum), inputs)


@dataclass(frozen=True)
class GroupNorm:
    """Over groups of channels of each sample (Wu and He 2018)."""

    groups: int = setting(8, at_least=1)
    """Number of groups; must divide the number of channels."""
    eps: float = setting(1e-5, above=0)
    """Added to the variance."""
    as_: str | None = setting(None)
    """Name of the layer in the checkpoint and in rules."""

    def build(self, inputs: Inputs, outputs: int) -> Part:  # noqa: ARG002
        from torch import nn

        _check_channels(inputs)
        if inputs.shape[0] % self.groups:
            raise misfit(f"channels that divide by {self.groups} groups", inputs, "change groups")
        return _part(nn.GroupNorm(self.groups, inputs.shape[0], self.eps), inputs)


@dataclass(frozen=True)
class LayerNorm:
    """Over the features of each sample or time step, or over a whole image (Ba et al. 2016)."""

    module: ClassVar[str] = "LayerNorm"

    eps: float = setting(1e-5, above=0)
    """Added to the variance."""
    as_: str | None = setting(None)
    """Name of the layer in the checkpoint and in rules."""

    def build(self, inputs: Inputs, outputs: int) -> Part:  # noqa: ARG002
        from torch import nn

        _check(inputs)
        return _part(getattr(nn, self.module)(_features(inputs), self.eps), inputs)


@dataclass(frozen=True)
class RmsNorm(LayerNorm):
    """As layernorm, without the mean and the bias (Zhang and Sennrich 2019)."""

    module: ClassVar[str] = "RMSNorm"

    eps: float = setting(1e-6, above=0)
    """Added to the mean square."""


def _check(inputs: Inputs) -> None:
    if len(inputs.shape) not in (1, 2, 3) or 0 in inputs.shape:
        raise misfit("one to three dimensions, none empty", inputs, "add `flatten` before it")


def _check_channels(inputs: Inputs) -> None:
    _check(inputs)
    if inputs.time:
        raise misfit("channels first", inputs, "over time take `layernorm` or `rmsnorm`")


def _features(inputs: Inputs) -> list[int]:
    """All of an image; the last dimension of anything else."""
    return list(inputs.shape if len(inputs.shape) == 3 else inputs.shape[-1:])


def _part(module: nn.Module, inputs: Inputs) -> Part:
    """Shape and names stay; every tensor with an entry per column is aligned by name."""
    tensors = module.state_dict().items() if inputs.names else ()
    return Part(module, inputs, {name: inputs.axis(0) for name, value in tensors if value.dim()})
