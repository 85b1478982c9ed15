"""Check that columns are known and of one type while the blocks of a file go by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ftune.data.row_report import MOST, RowReport
from ftune.data.sources.declared import unstated
from ftune.data.sources.distinct import Texts, distinct, is_text
from ftune.data.sources.notation import notation_of
from ftune.data.sources.types import kind_of
from ftune.data.sources.written import are_asked, fault, hint, misfit, parsed

if TYPE_CHECKING:
    from ftune.data.sources.files import TableFile

Numbers = npt.NDArray[np.int64]
ENOUGH = 100_000
"""After so many values of which half are no numbers, a column is one of texts."""


def unknown(column: pa.Array) -> npt.NDArray[np.bool_]:
    """[rows] null, or not a number."""
    return np.asarray(pc.is_null(column, nan_is_null=True).to_numpy(zero_copy_only=False))


@dataclass
class MissingValues:
    """RowReport in which a column is unknown; and, of texts, in which it is blank."""

    missing: RowReport = field(default_factory=RowReport)
    blank: RowReport = field(default_factory=RowReport)

    def see(self, column: pa.Array, rows: Numbers) -> None:
        gaps = unknown(column)
        self.missing.add(rows[gaps]) if gaps.any() else None
        if pa.types.is_string(column.type):
            bare = pc.equal(pc.utf8_trim_whitespace(column), "")
            blank = pc.fill_null(bare, False).to_numpy(zero_copy_only=False)
            self.blank.add(rows[blank]) if blank.any() else None


@dataclass
class Written:
    """What a column of texts holds; whether it is one of numbers, dates or names.

    plain: known rows of blocks of nothing but numbers, and of those the texts of the first. texts:
    the texts of the other blocks.
    """

    source: TableFile
    known: int = 0
    plain: int = 0
    sample: Texts | None = None
    texts: Texts | None = None

    def see(self, column: pa.Array, rows: Numbers) -> None:
        if not is_text(column.type) or self._settled:
            return
        column = pc.cast(column, pa.string())
        known = len(column) - column.null_count
        self.known += known
        if _fits(column, pa.float64()):
            self.plain += known
            self.sample = self.sample or distinct(column, rows)
        elif not _fits(column, pa.timestamp("s")):
            texts = distinct(column, rows)
            self.texts = texts if self.texts is None else self.texts.joined(texts)

    @property
    def _settled(self) -> bool:
        return self.known > ENOUGH and self.plain < self.known / 2

    @property
    def odd(self) -> list[str]:
        """The first texts that are no numbers; all, where the file states that they are texts."""
        whole = self._whole
        if self.source.typed:
            asked = whole is None or are_asked(whole, self.source)
            return [] if whole is None or asked else whole.values.slice(0, MOST).to_pylist()
        if self.texts is None:
            return []
        odd = pc.is_null(notation_of(self.source).numbers(self.texts.values))
        return list(self.texts.where(odd)[1].values())

    def fault(self, origin: str, name: str) -> str:
        """What makes it no column of texts; empty where nothing does."""
        whole = self._whole
        return fault(origin, name, whole, self.source) if self.texts and whole else ""

    @property
    def _whole(self) -> Texts | None:
        """All texts, as if those of the first block of numbers stood for all such blocks."""
        if self.texts is None or self.sample is None or not self.sample.rows:
            return self.texts or self.sample
        return self.texts.joined(self.sample.times(self.plain / self.sample.rows))


@dataclass
class NoNumbers:
    """The first texts of a column that is to be one of numbers, of a file that states its types."""

    odd: list[str] = field(default_factory=list)

    def see(self, column: pa.Array, rows: Numbers) -> None:  # noqa: ARG002
        if pa.types.is_string(column.type) and len(self.odd) < MOST:
            self.odd += pc.drop_null(column).slice(0, MOST).to_pylist()


@dataclass
class Declared:
    """Values that are not of the type that `types` gives the column."""

    name: str
    source: TableFile
    path: str
    odd: RowReport = field(default_factory=RowReport)
    texts: Texts | None = None
    held: str = ""

    def see(self, column: pa.Array, rows: Numbers) -> None:
        if not is_text(column.type):
            self.held = self.held or unstated(self.path, self.name, column.type, self.source)
        if self._kind == "text" or not is_text(column.type):
            return
        column = pc.cast(column, pa.string())
        texts = distinct(column, rows)
        odd = pc.is_null(parsed(texts.values, self.source, self.name, self._declared))
        if not pc.any(odd).as_py():
            return
        rest = texts.only(odd)
        mask = pc.is_in(column, value_set=rest.values).to_numpy(zero_copy_only=False)
        self.odd.add(rows[mask], column.filter(pa.array(mask)).slice(0, MOST).to_pylist())
        self.texts = self.texts or rest

    @property
    def _declared(self) -> Any:
        return self.source.types[self.name]

    @property
    def _kind(self) -> str:
        return kind_of(self._declared)

    def fault(self, origin: str) -> str:
        if self.texts is None:
            return self.held
        message = misfit(origin, self.name, self.odd.values[0], self.odd.said)
        return message + hint(self.name, self.texts, self.source, self._kind)


def _fits(column: pa.Array, kind: pa.DataType) -> bool:
    try:
        pc.cast(column, kind)
    except pa.ArrowInvalid:
        return False
    return True
