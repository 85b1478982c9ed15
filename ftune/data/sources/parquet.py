"""Parquet files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.data.sources.typed import TypedFile

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Parquet(TypedFile):
    """A typed, compressed table. Lists of numbers of one length become arrays."""

    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")
    format: ClassVar[str] = "Parquet"

    def table(self, path: str) -> pa.Table:
        from pyarrow import parquet

        from ftune.data.sources.arrow import existing, readable

        with existing(path).open("rb") as file, readable(path, self.format):
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
