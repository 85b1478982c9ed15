"""A whole number for each category, for embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.config.fields import setting
from ftune.data.transforms.each import ColumnTransform

if TYPE_CHECKING:
    from ftune.data.frame import Array, Frame, Kind, State


@dataclass(frozen=True)
class Ordinal(ColumnTransform):
    """Replaces a text by the number of its category, from 1 in text order; 0: unknown."""

    of: ClassVar[tuple[Kind, ...]] = ("text",)

    min_count: int = setting(1, at_least=1)
    """Categories with fewer training rows than this count as unknown."""
    columns: list[str] | None = setting(None)
    """Which columns; null: all texts."""

    def learnt(self, frame: Frame, name: str) -> dict[str, Any]:
        from ftune.data.transforms.categories import frequent, texts

        common, rare = frequent(texts(frame, name), self.min_count, None)
        return {"categories": common, **rare}

    def notes(self, state: State) -> list[str]:
        from ftune.data.transforms.categories import merged_note

        return merged_note("ordinal", state, "count as unknown")

    def changed(self, frame: Frame, name: str, column: dict[str, Any]) -> Array:
        from ftune.data.transforms.categories import codes, texts

        return codes(texts(frame, name), column["categories"])
