"""The fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.models.init import Init, initialise
from ftune.models.shapes import Axes, Axis, Inputs, Part, misfit


@dataclass(frozen=True)
class Linear:
    """y = xW' + b over the last dimension of [features] or [time, features]."""

    size: int | Literal["out"] = setting(at_least=1, at_most=1_000_000, words=("out",))
    """Number of outputs; `out` is what the task and the data ask for."""
    bias: bool = setting(True)
    """Whether a bias is added."""
    init: Init = setting("default")
    """How the weights start; any choice but `default` also zeroes the bias."""
    tied: bool = setting(False)
    """For size `out`: whether its weights are the token embedding's (Press and Wolf 2017)."""
    as_: str | None = setting(None)
    """Name of the layer in the checkpoint and in rules."""

    def __post_init__(self) -> None:
        if self.tied and (self.size != "out" or self.init != "default"):
            other = "size `out` only" if self.size != "out" else "weights that `embedding` starts"
            raise SettingError("tied", f"is for {other}")

    def build(self, inputs: Inputs, outputs: int) -> Part:
        from torch import nn

        if len(inputs.shape) not in (1, 2):
            raise misfit("[features] or [time, features]", inputs, "add `flatten` before it")
        if 0 in inputs.shape:
            raise misfit("at least one feature", inputs, "no column is left of the data")
        size = outputs if self.size == "out" else self.size
        module = nn.Linear(inputs.shape[-1], size, bias=self.bias)
        initialise(module, self.init)
        after = Inputs((*inputs.shape[:-1], size), time=inputs.time, ragged=inputs.ragged)
        return Part(module, after, self._axes(inputs), "" if self.size == "out" else None)

    def _axes(self, inputs: Inputs) -> Axes:
        head = (Axis(0, (), "output"),) if self.size == "out" else ()
        axes = {"weight": inputs.axis(1) + head, "bias": head if self.bias else ()}
        return {name: of_tensor for name, of_tensor in axes.items() if of_tensor}
