"""Margins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ftune.config.fields import setting
from ftune.data.transforms.pair import check_pair, pair
from ftune.data.transforms.transform import Transform

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Pad(Transform):
    """Images: margins around the image, which stands in the middle; nothing is cut off."""

    kinds = ("images",)
    stage = "shape"

    size: int | list[int] | Literal["square"] = setting("square", at_least=1, words=("square",))
    """At least so many pixels [height, width], one number for both; square: the longer side."""
    fill: int = setting(0, at_least=0, at_most=255)
    """Brightness of the margins."""

    def __post_init__(self) -> None:
        check_pair("size", self.size)

    def on_image(self, image: Image) -> Image:
        from PIL.Image import new

        from ftune.data.images.read import check_size

        wanted = max(image.size) if self.size == "square" else self.size
        height, width = (max(a, b) for a, b in zip(pair(wanted), image.size[::-1], strict=True))
        if (width, height) == image.size:
            return image
        check_size((width, height))
        result = new(image.mode, (width, height), (self.fill,) * len(image.getbands()))
        result.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
        return result
