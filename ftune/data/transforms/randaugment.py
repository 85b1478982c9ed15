"""Random combinations of simple operations, with one strength for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftune.config.fields import setting
from ftune.data.transforms.transform import Transform

if TYPE_CHECKING:
    import torch

    from ftune.data.frame import Array

STRONGEST = 30


@dataclass(frozen=True)
class RandAugment(Transform):
    """Images, in training: `ops` of 14 operations, drawn for each image (Cubuk et al. 2019).

    identity, autocontrast, equalize, rotate, solarize, saturation, posterize, contrast, brightness,
    sharpness, shear and translate along x and y, in torchvision's strengths.
    """

    kinds = ("images",)
    stage = "color"

    ops: int = setting(2, at_least=1)
    """How many operations, one after the other (the paper's N)."""
    magnitude: float = setting(9.0, at_least=0, at_most=STRONGEST)
    """How strong they are, of 30 (the paper's M)."""
    fill: int = setting(0, at_least=0, at_most=255)
    """Brightness of what comes in from outside."""

    @property
    def draws(self) -> int:
        return 2 * self.ops

    def color(self, x: torch.Tensor, u: Array) -> torch.Tensor:
        """x [n, c, h, w] float32 of 0 to 255, u [n, draws]: which operation, and which way."""
        from ftune.data.images.randaugment import augmented

        share = self.magnitude / STRONGEST
        for i in range(self.ops):
            x = augmented(x, u[:, 2 * i], u[:, 2 * i + 1], share, self.fill)
        return x
