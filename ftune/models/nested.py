"""Layers made of layers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from ftune.config.fields import blocks, setting
from ftune.config.read import SettingError
from ftune.models import LAYERS
from ftune.models.assemble import assemble, check_names, layer_names
from ftune.models.linear import Linear
from ftune.models.recurrent import Gru, Lstm
from ftune.models.shapes import Axes, Inputs, Layer, MisfitError, Part

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Residual:
    """x + layers(x) (He et al. 2015)."""

    layers: tuple[Layer, ...] = blocks(LAYERS)
    """The layers whose output is added to their input."""
    project: bool = setting(False)
    """Whether the input first goes through a linear map (1×1 convolution) to the output's shape."""
    as_: str | None = setting(None)
    """Name of the layer; its own layers are `name.child`."""

    def __post_init__(self) -> None:
        check_names(self.layers)
        if self.project and "projection" in layer_names(self.layers):
            raise SettingError("layers", "`projection` is the name of the projection; change `as`")

    def build(self, inputs: Inputs, outputs: int) -> Part:
        from ftune.models.modules import ProjectedResidual, Residual

        body = assemble(self.layers, inputs, outputs)
        children = OrderedDict(body.module.named_children())
        if self.project:
            skip, axes = _projection(self.layers, inputs, body.after)
            module: nn.Module = ProjectedResidual(OrderedDict(projection=skip, **children))
            return Part(module, body.after, body.axes | axes, body.head)
        if body.after.shape != inputs.shape:
            raise MisfitError(
                f"its layers turn {list(inputs.shape)} into {list(body.after.shape)}, which cannot "
                "be added to the input; write `project: true`, or keep the shape"
            )
        return Part(Residual(children), body.after, body.axes, body.head)


def _projection(layers: Sequence[Layer], inputs: Inputs, after: Inputs) -> tuple[nn.Module, Axes]:
    """A map without bias from one shape to the other; strides follow from the sizes."""
    from torch import nn

    (before, *lengths), (size, *targets) = inputs.shape, after.shape
    if not lengths and not targets:
        axes = {"projection.weight": inputs.axis(1)} if inputs.names else {}
        return nn.Linear(before, size, bias=False), axes
    over_features = inputs.time or _over_features(layers)
    if before == size and len(lengths) == len(targets) == 1 and over_features:
        return nn.Linear(lengths[0], targets[0], bias=False), {}
    strides = _strides(lengths, targets)
    if len(strides) == 1:
        return nn.Conv1d(before, size, 1, strides[0], bias=False), {}
    if len(strides) == 2:
        return nn.Conv2d(before, size, 1, (strides[0], strides[1]), bias=False), {}
    raise MisfitError(
        f"no projection leads from {list(inputs.shape)} to {list(after.shape)}; "
        "pad its layers so that each length is kept or divided, or write it without `residual`"
    )


def _over_features(layers: Sequence[Layer]) -> bool:
    """Whether two dimensions are [time, features] here, not [channels, length]."""
    return any(isinstance(layer, Linear | Lstm | Gru) for layer in layers)


def _strides(lengths: list[int], targets: list[int]) -> list[int]:
    """The strides with which a window of width 1 turns `lengths` into `targets`; [] if none do."""
    if len(lengths) != len(targets):
        return []
    strides = [ceil(a / b) for a, b in zip(lengths, targets, strict=True)]
    reached = [ceil(a / s) for a, s in zip(lengths, strides, strict=True)]
    return strides if reached == targets else []


@dataclass(frozen=True)
class Repeat:
    """The same layers several times, each time with weights of their own."""

    times: int = setting(at_least=1, at_most=1000)
    """How often."""
    layers: tuple[Layer, ...] = blocks(LAYERS)
    """The layers; those of the second time are named `repeat1.2.child`."""
    as_: str | None = setting(None)
    """Name of the whole."""

    def __post_init__(self) -> None:
        check_names(self.layers)

    def build(self, inputs: Inputs, outputs: int) -> Part:
        from ftune.models.tokens import Chain

        children: OrderedDict[str, nn.Module] = OrderedDict()
        axes: Axes = {}
        head = None
        for index in range(1, self.times + 1):
            part = assemble(self.layers, inputs, outputs)
            children[str(index)] = part.module
            axes |= {f"{index}.{name}": of_tensor for name, of_tensor in part.axes.items()}
            head = head if part.head is None else f"{index}.{part.head}"
            inputs = part.after
        return Part(Chain(children), inputs, axes, head)
