"""Parquet files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.data.sources.files import TableFile, read_parts

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import pyarrow as pa

    from ftune.data.frame import Frame


@dataclass(frozen=True)
class Parquet(TableFile):
    """A typed, compressed table. Lists of numbers of one length become arrays."""

    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    def load(self) -> dict[str, Frame]:
        return read_parts(self.path, lambda path: self._read(path, None))

    def load_as(self, known: Mapping[str, str], measured: Collection[str]) -> dict[str, Frame]:  # noqa: ARG002
        """Read the files; known: see `as_declared`."""
        return read_parts(self.path, lambda path: self._read(path, known))

    def read(self, path: str, types: Mapping[str, Any] | None = None) -> Frame:  # noqa: ARG002
        """One file; a Parquet file states its own types."""
        return self._read(path, None)

    def _read(self, path: str, known: Collection[str] | None) -> Frame:
        from ftune.data.sources.arrow import readable, to_frame
        from ftune.data.sources.declared import as_declared

        with readable(path, "Parquet"):
            # No name holds the table, so that each column goes when it has been taken over.
            return to_frame(as_declared(self._table(path), path, self, known), path)

    def as_set(self, path: str) -> pa.Table:
        """The file as `types` and the notation have it; other texts are as they stand."""
        from ftune.data.sources.arrow import readable
        from ftune.data.sources.declared import as_declared

        with readable(path, "Parquet"):
            return as_declared(self._table(path), path, self)

    def written(self, path: str, names: list[str]) -> pa.Table:
        """These columns as the file has them."""
        return self._table(path).select(names)

    def _table(self, path: str) -> pa.Table:
        from pyarrow import parquet

        from ftune.data.sources.arrow import existing, readable

        with existing(path).open("rb") as file, readable(path, "Parquet"):
            parquet_file = parquet.ParquetFile(file)
            check_claims(path, parquet_file.metadata)
            texts = _texts(parquet_file.schema_arrow)
            return parquet.ParquetFile(file, read_dictionary=texts).read().flatten()


def _texts(schema: Any) -> list[str]:
    """Columns of texts: read as a dictionary, a text that is repeated takes its bytes once."""
    import pyarrow as pa

    return [field.name for field in schema if pa.types.is_string(field.type)]


def check_claims(path: str, told: Any) -> None:
    """What the footer claims, before memory is taken: values in columns, and bytes unpacked."""
    from ftune.data.sources.arrow import SMALLER, check_width
    from ftune.security.limits.memory import check

    check_width(path, told.num_columns)
    groups = [told.row_group(i) for i in range(told.num_row_groups)]
    # Lists alone are asked for: Arrow ends the process on some damaged columns that it tells of.
    nested = [i for i in range(told.num_columns) if told.schema.column(i).max_repetition_level]
    values = told.num_rows * (told.num_columns - len(nested))
    values += sum(g.column(i).num_values for g in groups for i in nested)
    check(f"{path}: its {values:,} values", values * 8, SMALLER)
    unpacked = sum(group.total_byte_size for group in groups)
    check(f"{path}: unpacked it", unpacked, SMALLER)
