"""Turned, moved, scaled and slanted images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.data.transforms.pair import check_range
from ftune.data.transforms.transform import Transform

if TYPE_CHECKING:
    from ftune.data.frame import Array


@dataclass(frozen=True)
class Affine(Transform):
    """Images, in training: a random rotation, shift, scale and shear about the middle."""

    kinds = ("images",)
    stage = "place"
    draws: ClassVar[int] = 6

    degrees: float = setting(0.0, at_least=0, at_most=180)
    """Largest angle, either way."""
    translate: float = setting(0.0, at_least=0, at_most=1)
    """Largest shift as a share of width and height, either way."""
    scale: list[float] = setting([1.0, 1.0], above=0)
    """[smallest, largest] factor of the size."""
    shear: float = setting(0.0, at_least=0, below=90)
    """Largest slant of either axis, in degrees, either way."""
    fill: int = setting(0, at_least=0, at_most=255)
    """Brightness of what comes in from outside."""

    def __post_init__(self) -> None:
        check_range("scale", self.scale)
        if not (self.degrees or self.translate or self.shear or self.scale != [1.0, 1.0]):
            raise SettingError("degrees", "affine needs degrees, translate, scale or shear")

    def place(self, u: Array, sizes: Array) -> tuple[Array, Array]:
        import numpy as np

        from ftune.data.images.uniform import between
        from ftune.data.images.warp import around_middle

        signed = 2 * u - 1
        angle, slant_x, slant_y = np.radians(
            [signed[:, 0] * self.degrees, signed[:, 1] * self.shear, signed[:, 2] * self.shear]
        )
        linear = inverse_linear(angle, slant_x, slant_y, between(u[:, 3], *self.scale))
        matrix = around_middle(linear, sizes)
        x, y = np.round(signed[:, 4:6] * self.translate * sizes[:, ::-1]).T
        for axis in (0, 1):
            matrix[:, axis, 2] -= linear[:, axis, 0] * x + linear[:, axis, 1] * y
        return matrix, sizes


@dataclass(frozen=True)
class Rotate(Transform):
    """Images, in training: turned about the middle by a random angle."""

    kinds = ("images",)
    stage = "place"
    draws: ClassVar[int] = 1

    degrees: float = setting(above=0, at_most=180)
    """Largest angle, either way."""
    fill: int = setting(0, at_least=0, at_most=255)
    """Brightness of what comes in from outside."""

    def place(self, u: Array, sizes: Array) -> tuple[Array, Array]:
        import numpy as np

        from ftune.data.images.warp import around_middle

        angle = np.radians((2 * u[:, 0] - 1) * self.degrees)
        nothing = np.zeros(len(u))
        linear = inverse_linear(angle, nothing, nothing, np.ones(len(u)))
        return around_middle(linear, sizes), sizes


def inverse_linear(angle: Array, slant_x: Array, slant_y: Array, scale: Array) -> Array:
    """[rows, 2, 2] from the result to the source: the inverse of scale · rotation · shear.

    Positive angles (radians) turn the image counter-clockwise, as Pillow's `rotate` does.
    """
    import numpy as np

    from ftune.data.images.uniform import each

    cos, sin = each(math.cos, angle), each(math.sin, angle)
    x, y = each(math.tan, slant_x), each(math.tan, slant_y)
    back = np.array([[cos, -sin], [sin, cos]]) / scale
    shear = np.array([[np.ones_like(x), -x], [-y, np.ones_like(y)]]) / (1 - x * y)
    parts = [[sum(shear[i, k] * back[k, j] for k in (0, 1)) for j in (0, 1)] for i in (0, 1)]
    return np.moveaxis(np.array(parts), -1, 0)
