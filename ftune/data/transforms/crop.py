"""A part of each image: its middle, or a random one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.data.transforms.pair import check_pair, check_range, pair
from ftune.data.transforms.transform import Transform

if TYPE_CHECKING:
    from PIL.Image import Image

    from ftune.data.frame import Array


@dataclass(frozen=True)
class CenterCrop(Transform):
    """Images: the middle [height, width]; smaller images are padded with black."""

    kinds = ("images",)
    stage = "place"
    exact = True
    fixes_size: ClassVar[bool] = True
    fill: ClassVar[int | None] = 0

    size: int | list[int] = setting(at_least=1)
    """[height, width] in pixels; one number for both."""

    def __post_init__(self) -> None:
        check_pair("size", self.size)

    def plain(self) -> tuple[Any, ...]:
        """What stands for it in evaluation: itself."""
        return (self,)

    def on_image(self, image: Image) -> Image:
        """One decoded image; Pillow fills what lies outside with black."""
        height, width = pair(self.size)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return image.crop((left, top, left + width, top + height))

    def place(self, u: Array, sizes: Array) -> tuple[Array, Array]:  # noqa: ARG002
        """Where the pixels come from ([rows, 3, 3], see images/warp.py), and the new sizes."""
        import numpy as np

        from ftune.data.images.warp import offsets

        out = np.broadcast_to(pair(self.size), sizes.shape)
        spare = (sizes - out) // 2
        return offsets(spare[:, 1], spare[:, 0]), out


@dataclass(frozen=True)
class RandomCrop(Transform):
    """Images, in training: a random [height, width]; in evaluation the middle one."""

    kinds = ("images",)
    stage = "place"
    draws: ClassVar[int] = 2
    exact = True

    size: int | list[int] | None = setting(None, at_least=1)
    """[height, width] in pixels; one number for both; null: the size that images have."""
    padding: int = setting(0, at_least=0)
    """Pixels added on each side beforehand."""
    fill: int = setting(0, at_least=0, at_most=255)
    """Brightness of what is padded."""

    def __post_init__(self) -> None:
        check_pair("size", self.size)
        if self.size is None and not self.padding:
            raise SettingError("size", "random_crop needs a `size`, a `padding` or both")

    @property
    def fixes_size(self) -> bool:
        return self.size is not None

    def plain(self) -> tuple[Any, ...]:
        return () if self.size is None else (CenterCrop(self.size),)

    def place(self, u: Array, sizes: Array) -> tuple[Array, Array]:
        """Whole pixels; images smaller than the crop stand in its middle."""
        import numpy as np

        from ftune.data.images.warp import offsets

        out = sizes if self.size is None else np.broadcast_to(pair(self.size), sizes.shape)
        spare = sizes + 2 * self.padding - out
        drawn = np.where(spare < 0, spare // 2, np.floor(u * (np.maximum(spare, 0) + 1)))
        return offsets(drawn[:, 1] - self.padding, drawn[:, 0] - self.padding), out


@dataclass(frozen=True)
class RandomResizedCrop(Transform):
    """Images, in training: a random part of random shape, brought to one size (Inception's way).

    In evaluation the short side is resized to size / 0.875 and the middle is cut out. Where no
    resize stands before it, images are decoded to a short side of at most 1.5 times the larger
    side of the crop, and what is longer than twice that is cut off at both ends.
    """

    kinds = ("images",)
    stage = "place"
    draws: ClassVar[int] = 22
    fixes_size: ClassVar[bool] = True
    fill: ClassVar[int | None] = None

    size: int | list[int] = setting(at_least=1)
    """[height, width] of the result, in pixels; one number for both."""
    area: list[float] = setting([0.08, 1.0], above=0, at_most=1)
    """[smallest, largest] share of the image's area that is cut out."""
    ratio: list[float] = setting([0.75, 4 / 3], above=0)
    """[smallest, largest] width / height of what is cut out."""

    def __post_init__(self) -> None:
        check_pair("size", self.size)
        check_range("area", self.area)
        check_range("ratio", self.ratio)

    def plain(self) -> tuple[Any, ...]:
        from ftune.data.transforms.resize import Resize

        height, width = pair(self.size)
        short = round(height / 0.875)
        size = short if height == width else [short, round(width / 0.875)]
        return Resize(size), CenterCrop(self.size)

    def place(self, u: Array, sizes: Array) -> tuple[Array, Array]:
        import numpy as np

        from ftune.data.images.boxes import boxes, middle
        from ftune.data.images.warp import offsets

        box_of, fits = boxes(u, sizes, self.area, self.ratio)
        box = np.where(fits[:, None], box_of, middle(sizes, self.ratio))
        out = np.broadcast_to(pair(self.size), sizes.shape)
        matrix = offsets(box[:, 1], box[:, 0])
        matrix[:, 0, 0], matrix[:, 1, 1] = box[:, 3] / out[:, 1], box[:, 2] / out[:, 0]
        return matrix, out
