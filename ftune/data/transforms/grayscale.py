"""Images without colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ftune.config.fields import setting
from ftune.data.transforms.transform import Transform

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Grayscale(Transform):
    """Images: luminance alone (0.299 red, 0.587 green, 0.114 blue)."""

    kinds = ("images",)
    stage = "shape"

    channels: Literal[1, 3] = setting(1)
    """1, or 3 equal ones for a model that expects colours."""

    @property
    def removes_color(self) -> bool:
        return self.channels == 1

    def on_image(self, image: Image) -> Image:
        grey = image.convert("L")
        return grey if self.channels == 1 else grey.convert("RGB")
