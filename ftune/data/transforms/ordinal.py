"""A whole number for each category, for embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftune.config.fields import setting
from ftune.data.transforms.transform import Transform

if TYPE_CHECKING:
    from ftune.data.frame import Frame, State


@dataclass(frozen=True)
class Ordinal(Transform):
    """Replaces a text by the number of its category, from 1 in text order; 0: unknown."""

    min_count: int = setting(1, at_least=1)
    """Categories with fewer training rows than this count as unknown."""
    columns: list[str] | None = setting(None)
    """Which columns; null: all texts."""

    def fit(self, frame: Frame, prior: State | None) -> State:
        from ftune.data.transforms.categories import frequent, texts
        from ftune.data.transforms.choose import chosen, fit_each

        def listed(name: str) -> dict[str, Any]:
            common, rare = frequent(texts(frame, name), self.min_count, None)
            return {"categories": common, **rare}

        return fit_each(chosen(frame, self.columns, "text"), prior, listed)

    def notes(self, state: State) -> list[str]:
        from ftune.data.transforms.categories import merged_note

        return merged_note("ordinal", state, "count as unknown")

    def apply(self, frame: Frame, state: State) -> Frame:
        from ftune.data.transforms.categories import codes, texts

        return frame.with_columns(
            {name: codes(texts(frame, name), c["categories"]) for name, c in state.items()}
        )
