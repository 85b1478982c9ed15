"""Holes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ftune.config.fields import setting
from ftune.data.transforms.pair import check_range
from ftune.data.transforms.transform import Transform

if TYPE_CHECKING:
    import torch

    from ftune.data.frame import Array


@dataclass(frozen=True)
class Erase(Transform):
    """Images, in training: random erasing (Zhong et al. 2017), after the normalisation."""

    kinds = ("images",)
    stage = "erase"
    draws: ClassVar[int] = 24

    probability: float = setting(0.5, at_least=0, at_most=1)
    """How many of the images get a hole."""
    area: list[float] = setting([0.02, 0.33], above=0, at_most=1)
    """[smallest, largest] share of the image that is covered."""
    ratio: list[float] = setting([0.3, 3.3], above=0)
    """[smallest, largest] width / height of the hole."""
    fill: Literal["mean", "noise"] = setting("mean")
    """What covers it: 0, which is the mean colour once normalised, or normal noise."""

    def __post_init__(self) -> None:
        check_range("area", self.area)
        check_range("ratio", self.ratio)

    def erase(self, x: torch.Tensor, u: Array) -> torch.Tensor:
        """x [n, c, h, w] normalised, u [n, draws]; changes x."""
        import numpy as np

        from ftune.data.images.boxes import boxes

        channels, height, width = x.shape[1:]
        rectangles, fits = boxes(u[:, 2:], np.broadcast_to((height, width), (len(x), 2)), self.area,
                            self.ratio)  # fmt: skip
        for row in np.flatnonzero(fits & (u[:, 0] < self.probability)).tolist():
            top, left, high, wide = rectangles[row].tolist()
            hole = x[row, :, top : top + high, left : left + wide]
            if self.fill == "mean":
                hole.zero_()
            else:
                hole.copy_(_noise(u[row, 1], (channels, high, wide)))
        return x


def _noise(u: float, shape: tuple[int, ...]) -> torch.Tensor:
    """Normal numbers that one number of the row decides."""
    import numpy as np
    import torch

    stream = np.random.Generator(np.random.Philox(key=[int(u * 2**53), 0]))
    return torch.from_numpy(stream.standard_normal(shape, dtype=np.float32))
