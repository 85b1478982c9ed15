"""Parquet files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ftune.config.fields import setting
from ftune.data.sources.files import check_path, read_parts

if TYPE_CHECKING:
    from ftune.data.frame import Frame


@dataclass(frozen=True)
class Parquet:
    """A typed, compressed table. Lists of numbers of one length become arrays."""

    default_target: ClassVar[str | None] = None
    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    path: str | dict[str, str] = setting(path=True)
    """The file; or one for each part: {train: a.parquet, val: …, test: …}."""

    def __post_init__(self) -> None:
        check_path(self.path)

    def load(self) -> dict[str, Frame]:
        return read_parts(self.path, self.read)

    def read(self, path: str, types: dict[str, str] | None = None) -> Frame:  # noqa: ARG002
        """One file; a Parquet file states its own types."""
        from pyarrow import parquet

        from ftune.data.sources.arrow import existing, readable, to_frame

        with existing(path).open("rb") as file, readable(path, "Parquet"):
            table = parquet.ParquetFile(file).read()
            return to_frame(table.flatten(), path)
