"""The small data sets that come with scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ftune.config.fields import setting
from ftune.data.sources.source import Source

if TYPE_CHECKING:
    from ftune.data.frame import Frame


@dataclass(frozen=True)
class Sklearn(Source):
    """A data set of scikit-learn; the column to predict is `target`.

    digits: one column `image` [8, 8], 0 to 16. iris, wine, breast_cancer: numeric columns, classes
    by name. diabetes: numeric columns in their own units, a number to predict.
    """

    default_target: ClassVar[str | None] = "target"

    name: Literal["digits", "iris", "wine", "breast_cancer", "diabetes"] = setting("digits")
    """Which one."""

    def load(self) -> dict[str, Frame]:
        import numpy as np
        from sklearn import datasets

        from ftune.data.frame import Frame

        origin = f"sklearn {self.name}"
        more = {"scaled": False} if self.name == "diabetes" else {}
        bunch = getattr(datasets, f"load_{self.name}")(**more)
        rows = np.arange(1, len(bunch.target) + 1)
        target = bunch.target.astype(np.float64)
        if self.name == "digits":
            return {
                "all": Frame(
                    {"image": bunch.images.astype(np.float32), "target": target}, origin, rows
                )
            }
        columns = {
            name.removesuffix(" (cm)").replace(" ", "_").replace("/", "_per_"): bunch.data[:, i]
            for i, name in enumerate(bunch.feature_names)
        }
        if self.name != "diabetes":
            target = np.array([str(bunch.target_names[i]) for i in bunch.target], dtype=object)
        return {"all": Frame({**columns, "target": target}, origin, rows)}
