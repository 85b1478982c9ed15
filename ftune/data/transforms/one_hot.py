"""A column of 0 and 1 for each category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.config.fields import setting
from ftune.data.transforms.each import ColumnTransform

if TYPE_CHECKING:
    from ftune.data.frame import Array, Frame, Kind, State


@dataclass(frozen=True)
class OneHot(ColumnTransform):
    """Replaces a text column by one flag a category, named `education=Bachelors`.

    Rare categories share the flag `education=other`; where all are rare the column is left out. A
    category that the training rows did not have is `other` where there is one, else no flag is set.
    """

    of: ClassVar[tuple[Kind, ...]] = ("text",)

    min_count: int | None = setting(1, at_least=1)
    """Categories with fewer training rows than this become `other`; null: 2 to 10, one in 2,000 of
    the training rows."""
    most: int | None = setting(None, at_least=1)
    """At most so many categories a column, the most frequent ones; null: no limit."""
    columns: list[str] | None = setting(None)
    """Which columns; null: all texts."""

    def learnt(self, frame: Frame, name: str) -> dict[str, Any]:
        from ftune.data.transforms.categories import frequent, texts

        common, rare = frequent(texts(frame, name), self.min_count, self.most)
        other = bool(rare and common)  # of rare ones alone, the flag would be the same for all
        # A category of that very name shares the flag of the rare ones.
        names = [c for c in common if not (other and c == "other")]
        return {"categories": names, "other": other, **rare}

    def notes(self, state: State) -> list[str]:
        from ftune.data.transforms.categories import merged_note
        from ftune.data.transforms.choose import sentence

        flagged = {name: column for name, column in state.items() if column["other"]}
        bare = [f"`{n}` ({c['of']:,} categories)" for n, c in state.items() if _is_bare(c)]
        intro = "one_hot: left out, as no category has enough rows of its own"
        return [
            *merged_note("one_hot", flagged, "share the flag `other`"),
            *sentence(intro, bare),
        ]

    def makes(self, name: str, column: dict[str, Any]) -> list[str]:
        """The flags that stand for a column, in the order of their categories."""
        rest = ["other"] if column["other"] else []
        return [f"{name}={category}" for category in (*column["categories"], *rest)]

    def apply(self, frame: Frame, state: State) -> Frame:
        flags = {
            name: _flags(frame, name, column["categories"], self.makes(name, column))
            for name, column in state.items()
        }
        return frame.replaced(flags)


def _is_bare(column: dict[str, Any]) -> bool:
    return "of" in column and not column["categories"] and not column["other"]


def _flags(frame: Frame, name: str, categories: list[str], flags: list[str]) -> dict[str, Array]:
    """The columns `flags`, one for each category, and one for all others if there are more."""
    import numpy as np

    from ftune.data.transforms.categories import codes, texts
    from ftune.errors import DataError

    gaps = frame.missing(name)
    if gaps.any():
        raise DataError(
            f"{frame.origin}: column `{name}`: missing values in {frame.where(gaps)};"
            " add `impute` before one_hot"
        )
    places = codes(texts(frame, name), categories)
    numbers = [*range(1, len(categories) + 1), 0][: len(flags)]
    columns = zip(flags, numbers, strict=True)
    return {flag: (places == number).astype(np.uint8) for flag, number in columns}
