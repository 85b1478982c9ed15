"""What most tables and small images need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ftune.config.fields import setting
from ftune.data.transforms.transform import Transform


@dataclass(frozen=True)
class Auto(Transform):
    """drop_constant, date, impute, robust and one_hot, each for the columns it is for.

    Columns that are constant in the training rows are left out. Numbers get their median and texts
    the category `missing` where unknown; numbers are scaled by `robust`, arrays standardized, texts
    become flags. Images of a folder: up to 64 pixels they keep their size, larger ones are resized
    to 256 and cropped to 224; then normalized. Texts: `tokenize`.
    """

    kinds = ("table", "text", "images")
    placeholder = True

    min_count: int | None = setting(None, at_least=1)
    """Categories with fewer training rows than this share the flag `other`; null: 2 to 10, one in
    2,000 of the training rows."""

    def steps(self, base: Sequence[Any] = ()) -> tuple[Any, ...]:
        """Returns the transforms that this stands for; a pipeline keeps them in its place.

        base: the transforms of a model to fine-tune. What `auto` stood for in version 0.1 stays,
        as its weights are for inputs on that scale.
        """
        from ftune.data.transforms.columns import DropConstant
        from ftune.data.transforms.date import Date
        from ftune.data.transforms.impute import Impute
        from ftune.data.transforms.one_hot import OneHot
        from ftune.data.transforms.robust import Robust
        from ftune.data.transforms.standardize import Standardize

        first, flags = (Date(), Impute(), Standardize()), OneHot(self.min_count)
        for i in range(len(base) - 3):
            if tuple(base[i : i + 3]) == first and isinstance(base[i + 3], OneHot):
                return (*first, base[i + 3] if self.min_count is None else flags)
        return DropConstant(), Date(), Impute(), Robust(), flags
