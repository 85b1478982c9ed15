"""Decoded images as bytes, one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ftune.data.frame import Array

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Pixels:
    """Decoded images, one after the other.

    flat: [bytes] uint8, in memory or mapped. sizes: [rows, 2] int64, height and width. sha256: of
    `flat`. notes: what the user should know about them.
    """

    flat: Array
    sizes: Array
    channels: int
    sha256: str
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sizes)

    @cached_property
    def largest(self) -> tuple[int, int]:
        """The height and the width that hold every image."""
        height, width = self.sizes.max(axis=0).tolist()
        return height, width

    @cached_property
    def alike(self) -> bool:
        """Whether all images have one size."""
        return bool((self.sizes == self.sizes[0]).all())

    @cached_property
    def ends(self) -> Array:
        """[rows] int64: where the bytes of each image end."""
        return np.cumsum(self.sizes.prod(axis=1) * self.channels)

    @cached_property
    def block(self) -> Array:
        """[rows, height, width, channels] of images that are alike."""
        return self.flat.reshape(len(self), *self.largest, self.channels)

    def take(self, rows: Array) -> Array:
        """[n, height, width, channels] uint8 of the largest size; what is not image is 0."""
        if self.alike:
            return np.asarray(self.block[rows])
        result = np.zeros((len(rows), *self.largest, self.channels), dtype=np.uint8)
        for index, row in enumerate(rows.tolist()):
            height, width = self.sizes[row].tolist()
            part = self.flat[self.ends[row] - height * width * self.channels : self.ends[row]]
            result[index, :height, :width] = part.reshape(height, width, self.channels)
        return result

    def tensor(self, device: torch.device) -> torch.Tensor:
        """`block` on a device."""
        import torch

        return torch.from_numpy(np.array(self.block)).to(device)
