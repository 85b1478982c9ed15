"""Colours around 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.data.transforms.transform import Transform

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


@dataclass(frozen=True)
class Normalize(Transform):
    """Images: (x − mean) / std of each channel, x from 0 to 1. Without it pixels are 0 to 1."""

    kinds = ("images",)
    stage = "normalize"

    mean: list[float] | Literal["train", "imagenet"] = setting("train", words=("train", "imagenet"))
    """A number for each channel; train: of the training images; imagenet: what models expect that
    were trained on ImageNet (with its std)."""
    std: list[float] | None = setting(None, above=0)
    """A number for each channel; null: it comes with the mean."""

    def __post_init__(self) -> None:
        if isinstance(self.mean, list) and (self.std is None or len(self.std) != len(self.mean)):
            raise SettingError("std", f"expected {len(self.mean)} numbers, one for each mean")
        if isinstance(self.mean, str) and self.std is not None:
            raise SettingError("std", f"comes with `mean: {self.mean}`; leave it out")

    @property
    def learns(self) -> bool:
        return self.given is None

    @property
    def given(self) -> tuple[list[float], list[float]] | None:
        """Mean and std, where they do not depend on the training images."""
        if isinstance(self.mean, list):
            assert self.std is not None
            return self.mean, self.std
        return IMAGENET if self.mean == "imagenet" else None
