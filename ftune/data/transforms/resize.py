"""Images of one size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ftune.config.fields import setting
from ftune.data.transforms.pair import check_pair, pair
from ftune.data.transforms.transform import Transform

if TYPE_CHECKING:
    from PIL.Image import Image

    from ftune.data.frame import Array, Frame, State


@dataclass(frozen=True)
class Resize(Transform):
    """Interpolation; smaller images average pixels (antialias).

    Image files by Pillow, when they are decoded; arrays [rows, height, width] or
    [rows, channels, height, width] by torch.
    """

    kinds = ("table", "images")
    stage = "shape"

    size: int | list[int] = setting(at_least=1)
    """The new [height, width]; one number: the short side of an image file, the long one follows;
    both sides of an array."""
    interpolation: Literal["bilinear", "bicubic", "nearest"] = setting("bilinear")
    """How pixels in between are found."""
    columns: list[str] | None = setting(None)
    """Which columns; null: all arrays, or the image."""

    def __post_init__(self) -> None:
        check_pair("size", self.size)

    def on_image(self, image: Image) -> Image:
        """One decoded image; the long side is rounded down, as torchvision does."""
        from PIL.Image import Resampling

        from ftune.data.images.read import check_size

        width, height = image.size
        if isinstance(self.size, list):
            size = (self.size[1], self.size[0])
        else:
            short = min(width, height)
            size = (int(self.size * width / short), int(self.size * height / short))
        if size == image.size:
            return image
        check_size(size)
        return image.resize(size, Resampling[self.interpolation.upper()])

    def fit(self, frame: Frame, prior: State | None) -> State:  # noqa: ARG002
        from ftune.data.transforms.choose import chosen
        from ftune.errors import DataError

        names = chosen(frame, self.columns, "array")
        for name in names:
            if frame[name].ndim not in (3, 4):
                raise DataError(
                    f"{frame.origin}: column `{name}` {list(frame[name].shape)} is no image;"
                    " resize needs [rows, height, width] or [rows, channels, height, width]"
                )
        return {name: {} for name in names}

    def apply(self, frame: Frame, state: State) -> Frame:
        return frame.with_columns({name: self._resized(frame[name]) for name in state})

    def _resized(self, images: Array) -> Array:
        import numpy as np
        import torch

        size = list(pair(self.size))
        x = torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32))
        four = x if x.ndim == 4 else x[:, None]
        smaller = size[0] < x.shape[-2] or size[1] < x.shape[-1]
        mode = "nearest-exact" if self.interpolation == "nearest" else self.interpolation
        # Without antialias a smaller image would skip pixels instead of averaging them.
        four = torch.nn.functional.interpolate(
            four, size, mode=mode, antialias=smaller and mode != "nearest-exact"
        )
        result: Array = (four if x.ndim == 4 else four[:, 0]).numpy()
        return result
