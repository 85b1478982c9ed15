"""Plain text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ftune.config.fields import setting
from ftune.data.sources.files import FileSource, read_parts
from ftune.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ftune.data.frame import Frame


@dataclass(frozen=True)
class Text(FileSource):
    """A text file in UTF-8 (UTF-16 by its mark), also packed (gz, bz2, zst), as the column `text`.
    Its rows keep their order and line ends, so that they give back the file; the split takes the
    last rows for validation and test."""

    suffixes: ClassVar[tuple[str, ...]] = (".txt", ".md")
    kind: ClassVar[Literal["text"]] = "text"
    ordered: ClassVar[bool] = True

    path: str | dict[str, str] = setting(path=True, exact=False, fact="trial")
    """The file; or one for each part: {train: a.txt, val: …, test: …}."""
    unit: Literal["lines", "paragraphs", "file"] = setting("lines")
    """What a row is; paragraphs end with empty lines."""

    def load(self) -> dict[str, Frame]:
        return read_parts(self.path, self.read)

    def read(self, path: str, types: Mapping[str, Any] | None = None) -> Frame:  # noqa: ARG002
        """One file. Raises DataError: none, empty, blank, or not UTF-8 (byte and line)."""
        import numpy as np

        from ftune.data.frame import Frame

        text = _decoded(path)
        if not text.strip():
            raise DataError(blank(path))
        rows = rows_of(text, self.unit)
        column = np.empty(len(rows), dtype=object)
        column[:] = rows
        return Frame({"text": column}, path, np.arange(1, len(rows) + 1))


_BEGINNING = 2**20
"""Bytes of a file that are looked at before the others are read."""


def rows_of(text: str, unit: str) -> list[str]:
    """Lines, paragraphs or all of it; joined they are `text` again."""
    if unit == "file":
        return [text]
    if unit == "lines":
        return re.findall(r"[^\n]*\n|[^\n]+", text)
    parts = [*re.split(r"(\n(?:[^\S\n]*\n)+)", text), ""]
    pairs = (body + gap for body, gap in zip(parts[::2], parts[1::2], strict=True))
    return [pair for pair in pairs if pair]


def _decoded(path: str) -> str:
    from ftune.data.sources.arrow import existing, readable
    from ftune.data.sources.stream import check_size, decoded, not_a_text

    existing(path)
    with readable(path, "text"):
        check_size(path, 2, "cut it into several files")
        with decoded(path) as file:  # what is no text shows it early, and is not read whole
            raw = file.read(_BEGINNING)
            raw = raw if b"\0" in raw else raw + file.read()
    if b"\0" in raw:
        raise DataError(not_a_text(path))
    try:
        return str(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(not_utf8(path, error.start, raw[error.start], line)) from None


def not_utf8(path: str, place: int, byte: int, line: int) -> str:
    return f"{path}: not UTF-8: byte {place:,} (0x{byte:02x}) in line {line:,}; save it as UTF-8"


def blank(path: str) -> str:
    return f"{path}: holds only spaces and line ends; there is nothing to learn"
