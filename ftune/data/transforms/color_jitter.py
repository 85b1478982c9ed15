"""Other light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.data.transforms.transform import Transform

if TYPE_CHECKING:
    import torch

    from ftune.data.frame import Array


@dataclass(frozen=True)
class ColorJitter(Transform):
    """Images, in training: random brightness, contrast, saturation and hue, in this order."""

    kinds = ("images",)
    stage = "color"
    draws: ClassVar[int] = 4

    brightness: float = setting(0.0, at_least=0)
    """b: a factor between max(0, 1 − b) and 1 + b."""
    contrast: float = setting(0.0, at_least=0)
    """The same for the distance from the mean grey."""
    saturation: float = setting(0.0, at_least=0)
    """The same for the distance from grey."""
    hue: float = setting(0.0, at_least=0, at_most=0.5)
    """h: a turn of −h to h of the colour circle."""

    def __post_init__(self) -> None:
        if not (self.brightness or self.contrast or self.saturation or self.hue):
            raise SettingError(
                "brightness", "color_jitter needs brightness, contrast, saturation or hue"
            )

    @property
    def needs_color(self) -> bool:
        return bool(self.saturation or self.hue)

    def color(self, x: torch.Tensor, u: Array) -> torch.Tensor:
        """x [n, c, h, w] float32 of 0 to 255, u [n, draws]."""
        from ftune.data.images import color
        from ftune.data.images.uniform import between

        for i, name in enumerate(("brightness", "contrast", "saturation")):
            reach = getattr(self, name)
            if reach:
                factor = between(u[:, i], max(0.0, 1 - reach), 1 + reach)
                x = getattr(color, name)(x, factor)
        return color.hue(x, between(u[:, 3], -self.hue, self.hue)) if self.hue else x
