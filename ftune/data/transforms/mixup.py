"""Two images in one, with the targets of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftune.config.fields import setting
from ftune.data.transforms.transform import Transform

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True)
class BatchMix(Transform):
    """Mixes each image of a batch with another, and their targets in the same proportion."""

    kinds = ("images",)
    stage = "mix"

    alpha: float = setting(0.2, above=0)
    """Shape of the Beta distribution that the proportion is drawn from."""
    probability: float = setting(1.0, at_least=0, at_most=1)
    """How many of the batches are mixed."""


@dataclass(frozen=True)
class Mixup(BatchMix):
    """Images, in training: a weighted mean with another image of the batch (Zhang et al. 2017).

    Where mixup and cutmix are both listed, each batch gets one of them, either as often.
    """

    alpha: float = setting(0.2, above=0)
    """The weights are drawn from Beta(alpha, alpha), one a batch: small is close to 0 and 1."""

    def mix(
        self, x: torch.Tensor, partner: torch.Tensor, rng: np.random.Generator
    ) -> tuple[torch.Tensor, float]:
        """The mixed x, and the share that stays of each row itself."""
        share = float(rng.beta(self.alpha, self.alpha))
        return x * share + x[partner] * (1 - share), share


@dataclass(frozen=True)
class Cutmix(BatchMix):
    """Images, in training: a box of another image of the batch is pasted in (Yun et al. 2019).

    Where mixup and cutmix are both listed, each batch gets one of them, either as often.
    """

    alpha: float = setting(1.0, above=0)
    """The share of the image that stays is drawn from Beta(alpha, alpha), one a batch."""

    def mix(
        self, x: torch.Tensor, partner: torch.Tensor, rng: np.random.Generator
    ) -> tuple[torch.Tensor, float]:
        """The mixed x, and the share of the pixels that stay; the box is cut off at the rim."""
        height, width = x.shape[2:]
        side = (1 - float(rng.beta(self.alpha, self.alpha))) ** 0.5
        y, high = int(rng.integers(height)), int(height * side)
        x0, wide = int(rng.integers(width)), int(width * side)
        rows = slice(max(0, y - high // 2), min(height, y - high // 2 + high))
        columns = slice(max(0, x0 - wide // 2), min(width, x0 - wide // 2 + wide))
        result = x.clone()
        result[:, :, rows, columns] = x[partner][:, :, rows, columns]
        covered = (rows.stop - rows.start) * (columns.stop - columns.start)
        return result, 1 - covered / (height * width)
