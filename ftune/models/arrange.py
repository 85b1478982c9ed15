"""Layers that only rearrange."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.models.shapes import Inputs, Part, misfit


@dataclass(frozen=True)
class Flatten:
    """All dimensions as one: [channels, height, width] -> [features]."""

    as_: str | None = setting(None)
    """Name of the layer."""

    def build(self, inputs: Inputs, outputs: int) -> Part:  # noqa: ARG002
        from torch import nn

        inputs.check_alike()
        flat = len(inputs.shape) == 1
        return Part(nn.Flatten(), inputs if flat else Inputs((prod(inputs.shape),)))


@dataclass(frozen=True)
class Reshape:
    """The same numbers in another shape."""

    shape: list[int] = setting(at_least=-1)
    """New shape of one sample, without the batch; one entry may be -1 and is inferred."""
    as_: str | None = setting(None)
    """Name of the layer."""

    def __post_init__(self) -> None:
        if not self.shape or 0 in self.shape or self.shape.count(-1) > 1:
            raise SettingError("shape", "expected whole numbers above 0, at most one of them -1")

    def build(self, inputs: Inputs, outputs: int) -> Part:  # noqa: ARG002
        from ftune.models.modules import Rearranged

        inputs.check_alike()
        shape = self._resolved(inputs)
        return Part(Rearranged(shape), Inputs(shape))

    def _resolved(self, inputs: Inputs) -> tuple[int, ...]:
        total = prod(inputs.shape)
        known = prod(n for n in self.shape if n > 0)
        shape = tuple(total // known if n == -1 else n for n in self.shape)
        if prod(shape) != total or not total:
            raise misfit(f"as many numbers as {self.shape}", inputs, f"it has {total:,} numbers")
        return shape
