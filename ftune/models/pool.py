"""Pooling; one or two dimensions follow from the running shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.models.shapes import Inputs, Part, misfit, slid


@dataclass(frozen=True)
class _Pool:
    kernel: int = setting(2, at_least=1)
    """Width of the window, in every direction."""
    stride: int | None = setting(None, at_least=1)
    """Step of the window; null is the kernel's width."""
    padding: int = setting(0, at_least=0)
    """Points added on each side, at most half the kernel."""
    as_: str | None = setting(None)
    """Name of the layer."""

    def __post_init__(self) -> None:
        if self.padding > self.kernel // 2:
            raise SettingError("padding", f"at most half the kernel: {self.kernel // 2}")

    def build(self, inputs: Inputs, outputs: int) -> Part:  # noqa: ARG002
        from torch import nn

        channels, lengths = _spatial(inputs)
        stride = self.stride or self.kernel
        after = [slid(length, self.kernel, stride, self.padding) for length in lengths]
        if min(after) < 1:
            raise misfit(f"room for a window of {self.kernel}", inputs, "pool less")
        kind = getattr(nn, f"{type(self).__name__}{len(lengths)}d")
        module = kind(self.kernel, stride, self.padding)
        return Part(module, Inputs((channels, *after)))


@dataclass(frozen=True)
class MaxPool(_Pool):
    """Largest value of each window."""


@dataclass(frozen=True)
class AvgPool(_Pool):
    """Mean of each window."""


@dataclass(frozen=True)
class GlobalPool:
    """One number per channel, whatever the size: [channels, …] -> [channels].

    After an embedding of tokens, over time: [time, features] -> [features], padding left out.
    """

    kind: Literal["avg", "max", "first", "last"] = setting("avg")
    """Mean or maximum over all positions; `first` and `last` are for tokens."""
    as_: str | None = setting(None)
    """Name of the layer."""

    def build(self, inputs: Inputs, outputs: int) -> Part:  # noqa: ARG002
        from ftune.models.modules import GlobalAverage, GlobalMaximum

        if inputs.time:
            from ftune.models.tokens import PoolTime

            return Part(PoolTime(self.kind), Inputs(inputs.shape[1:]))
        channels, _ = _spatial(inputs)
        if self.kind in ("first", "last"):
            raise misfit("[time, features] after `embedding`", inputs, "take `avg` or `max`")
        module = GlobalAverage() if self.kind == "avg" else GlobalMaximum()
        return Part(module, Inputs((channels,)))


def _spatial(inputs: Inputs) -> tuple[int, list[int]]:
    if len(inputs.shape) not in (2, 3) or 0 in inputs.shape or inputs.time:
        advice = "add `reshape`, or leave the pooling out"
        if inputs.time:
            advice = "these are steps of time: `globalpool` pools them, padding left out"
        raise misfit("[channels, length] or [channels, height, width]", inputs, advice)
    channels, *lengths = inputs.shape
    return channels, lengths
