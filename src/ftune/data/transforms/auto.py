"""What most tables and small images need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ftune.config.fields import setting


@dataclass(frozen=True)
class Auto:
    """date, impute, standardize and one_hot, each for the columns it is for.

    Numbers get their median and texts the category `missing` where unknown; numbers and images are
    standardized, texts become flags. Images of a folder: up to 64 pixels they keep their size,
    larger ones are resized to 256 and cropped to 224; then normalized. Texts: `tokenize`.
    """

    kinds: ClassVar[tuple[str, ...]] = ("table", "text", "images")

    min_count: int = setting(10, at_least=1)
    """Categories with fewer training rows than this share the flag `other`."""

    def steps(self) -> tuple[Any, ...]:
        """The transforms that this stands for; a pipeline keeps them in its place."""
        from ftune.data.transforms.date import Date
        from ftune.data.transforms.impute import Impute
        from ftune.data.transforms.one_hot import OneHot
        from ftune.data.transforms.standardize import Standardize

        return Date(), Impute(), Standardize(), OneHot(self.min_count)
