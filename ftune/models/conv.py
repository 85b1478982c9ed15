"""Convolutions over one and two dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.models.init import Init, initialise
from ftune.models.shapes import Inputs, Part, misfit, slid


@dataclass(frozen=True)
class _Conv:
    channels: int = setting(at_least=1, at_most=1_000_000)
    """Number of output channels."""
    kernel: int = setting(3, at_least=1)
    """Width of the window, in every direction."""
    stride: int = setting(1, at_least=1)
    """Step of the window."""
    padding: int | Literal["same"] = setting(0, at_least=0, words=("same",))
    """Zeros added on each side; `same` keeps the size."""
    groups: int = setting(1, at_least=1)
    """Channels are connected within groups only; equal to the channels it is depthwise."""
    dilation: int = setting(1, at_least=1)
    """Distance between the points of the window."""
    bias: bool = setting(True)
    """Whether a bias is added per channel."""
    init: Init = setting("default")
    """How the weights start; any choice but `default` also zeroes the bias."""
    as_: str | None = setting(None)
    """Name of the layer in the checkpoint and in rules."""

    def __post_init__(self) -> None:
        if self.padding == "same" and self.stride != 1:
            raise SettingError("padding", "`same` needs stride 1; write a number instead")
        if self.channels % self.groups:
            raise SettingError(
                "groups", f"{self.channels} channels cannot be split into {self.groups} groups"
            )

    def _convolve(self, inputs: Inputs, dims: Literal[1, 2], expected: str, advice: str) -> Part:
        from torch import nn

        if inputs.time:
            advice = "these are steps of time: `transformer`, `lstm` and `gru` go over them"
            raise misfit(expected, inputs, advice)
        if len(inputs.shape) != dims + 1 or 0 in inputs.shape:
            raise misfit(expected, inputs, advice)
        before, *lengths = inputs.shape
        if before % self.groups:
            raise misfit(f"channels that divide by groups={self.groups}", inputs, "change groups")
        after = [self._length(length) for length in lengths]
        if min(after) < 1:
            raise misfit(f"room for a window of {self.kernel}", inputs, "add padding or pool less")
        module = (nn.Conv1d, nn.Conv2d)[dims - 1](
            before, self.channels, self.kernel, self.stride, self.padding,
            self.dilation, self.groups, self.bias,
        )  # fmt: skip
        initialise(module, self.init)
        return Part(module, Inputs((self.channels, *after)))

    def _length(self, length: int) -> int:
        if self.padding == "same":
            return length
        return slid(length, self.kernel, self.stride, self.padding, self.dilation)


@dataclass(frozen=True)
class Conv1d(_Conv):
    """Convolution over [channels, length]."""

    def build(self, inputs: Inputs, outputs: int) -> Part:  # noqa: ARG002
        advice = f"add `reshape: [1, {prod(inputs.shape)}]` before it"
        return self._convolve(inputs, 1, "[channels, length]", advice)


@dataclass(frozen=True)
class Conv2d(_Conv):
    """Convolution over [channels, height, width]."""

    def build(self, inputs: Inputs, outputs: int) -> Part:  # noqa: ARG002
        advice = "add `reshape: [channels, height, width]` with the data's own numbers before it"
        return self._convolve(inputs, 2, "[channels, height, width]", advice)
