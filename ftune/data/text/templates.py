"""Texts that are put together from columns: `Question: {question}\\nAnswer: `."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from string import Formatter
from typing import NamedTuple

import numpy as np

from ftune.data.frame import Array, Frame, as_text, no_column
from ftune.data.text.braces import faults
from ftune.errors import DataError


class Part(NamedTuple):
    """literal: what stands before the column. around: of an optional part the text with `{}` in it;
    it is written where the column has a value."""

    literal: str
    column: str | None = None
    around: str | None = None


@dataclass(frozen=True)
class Template:
    """A text with `{column}` in it, `{{` for a brace; or just the name of a column.

    `{column:text {}}` is the text with the column's value in place of `{}`, and nothing where that
    is missing or blank. setting: where it was written, for messages.
    """

    text: str
    setting: str

    @cached_property
    def parts(self) -> list[Part]:
        """What stands there, in order. Raises DataError."""
        fault = faults(self.text)
        if fault:
            raise DataError(f"{self.setting}: {fault}")
        parsed = list(Formatter().parse(self.text))
        if all(name is None for _, name, _, _ in parsed):
            return [Part("", self.text)]
        return [Part(literal, name, around or None) for literal, name, around, _ in parsed]

    @property
    def columns(self) -> list[str]:
        """The columns that it names."""
        return list(dict.fromkeys(part.column for part in self.parts if part.column is not None))

    @property
    def required(self) -> list[str]:
        """Those that each row needs a value of."""
        parts = [part for part in self.parts if part.around is None]
        return list(dict.fromkeys(part.column for part in parts if part.column is not None))

    def check(self, frame: Frame) -> None:
        """Raises DataError for a column that is absent, no text, or unknown in some row."""
        for name in self.columns:
            if name not in frame.columns:
                raise DataError(no_column(frame.origin, self.setting, name, frame.columns))
            self._check_column(frame, name)

    def _check_column(self, frame: Frame, name: str) -> None:
        gaps, optional = frame.missing(name), name not in self.required
        kind, alone = frame.kind(name), len(self.parts) == 1 and not self.parts[0].literal
        if optional and gaps.all():
            return
        if kind not in ("text", "number", "date") or (alone and kind != "text"):
            remedy = f"; if they are texts, declare it (csv: `types: {{{name}: text}}`)"
            raise DataError(
                f"{frame.origin}: {self.setting}: column `{name}` holds {kind}s, not texts"
                + (remedy if kind in ("number", "date") else "")
            )
        if gaps.any() and not optional:
            raise DataError(missing_text(frame.origin, self.setting, name, frame.where(gaps)))

    def fill(self, frame: Frame, blank: bool = False) -> list[str]:
        """The text of each row. Raises DataError as `check` does, and for blank ones if not so."""
        self.check(frame)
        pieces = [piece for part in self.parts for piece in _pieces(frame, part)]
        texts = ["".join(row) for row in zip(*pieces, strict=False)]  # literals have no end
        if not blank:
            self._check_blank(frame, texts)
        return texts

    def _check_blank(self, frame: Frame, made: list[str]) -> None:
        blank = np.array([not text or text.isspace() for text in made], dtype=bool)
        if blank.any():
            raise DataError(blank_text(frame.origin, self.setting, frame.where(blank)))


def missing_text(origin: str, setting: str, name: str, where: str) -> str:
    return (
        f"{origin}: {setting}: column `{name}` is missing in {where}; delete these rows, or where"
        " `NA` and the like are texts of yours, write `missing: []` (csv)"
    )


def blank_text(origin: str, setting: str, where: str) -> str:
    return f"{origin}: {setting}: the text is blank in {where}; delete these rows"


def _pieces(frame: Frame, part: Part) -> list[Iterable[str]]:
    """The literal of a part, and the column's texts with what stands around them."""
    if part.column is None:
        return [repeat(part.literal)]
    if part.around is None:
        return [repeat(part.literal), _spoken(frame, part.column)]
    before, after = part.around.split("{}")
    gaps, texts = frame.missing(part.column), _spoken(frame, part.column)
    values = ("" if gap or not str(text).strip() else f"{before}{text}{after}"
              for gap, text in zip(gaps, texts, strict=True))  # fmt: skip
    return [repeat(part.literal), values]


def _spoken(frame: Frame, name: str) -> Array:
    """A column as texts: 3.0 is `3`, a date without a time of day has none."""
    column = frame[name]
    if column.dtype.kind != "M":
        return as_text(column)
    texts = np.datetime_as_string(column, unit="s")
    return np.array([text.removesuffix("T00:00:00") for text in texts.tolist()], dtype=object)
