"""Comma-separated files."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.data.sources.files import check_path, read_parts
from ftune.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from ftune.data.frame import Frame

UNKNOWN = [
    "", "?", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND",
    "1.#QNAN", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null",
]  # fmt: skip
REMEDY = "correct them, add them to `missing`, or declare `types: {{{name}: text}}`"


@dataclass(frozen=True)
class Csv:
    """A table in a text file, one row a line, with a header. Read by pyarrow."""

    default_target: ClassVar[str | None] = None
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".txt")

    path: str | dict[str, str] = setting(path=True)
    """The file; or one for each part: {train: a.csv, val: b.csv, test: c.csv}."""
    delimiter: str | None = setting(None)
    """What separates the values; null: a tab for .tsv, else a comma."""
    missing: list[str] = setting(UNKNOWN)
    """Texts that mean an unknown value."""
    types: dict[str, Literal["number", "text", "date"]] = setting({}, open=True)
    """What a column is, where the file alone would mislead: {zip: text, sold: date}."""
    quote: str = setting('"')
    """The character around values that contain the delimiter."""
    header: list[str] | None = setting(None)
    """The column names of a file that has no header; null: its first line."""
    encoding: str = setting("utf-8")
    """How the text is encoded: utf-8, latin-1, cp1252 …"""

    def __post_init__(self) -> None:
        check_path(self.path)
        for name in ("delimiter", "quote"):
            value = getattr(self, name)
            if value is not None and len(value) != 1:
                raise SettingError(name, f"`{value}`: expected one character")

    def load(self) -> dict[str, Frame]:
        return read_parts(self.path, self.read)

    def read(self, path: str, types: dict[str, str] | None = None) -> Frame:
        """One file; `types` (by column) are those of a fitted pipeline, ours come first."""
        from ftune.data.sources.arrow import check_mixed, existing, readable, to_frame

        existing(path)
        wanted = (types or {}) | self.types
        with readable(path, "CSV"):
            table = self._table(path, wanted)
            self._check_columns(table, path)
        frame = to_frame(table, path)
        check_mixed(frame, REMEDY, skip=wanted)
        return frame

    def _table(self, path: str, types: dict[str, str]) -> pa.Table:
        from pyarrow import csv

        ragged: list[Any] = []
        try:
            return csv.read_csv(path, *self._options(path, types, ragged, threads=True))
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}: the header is {_not_text(self.encoding)} ({error.reason})"
            ) from None
        except LookupError:
            raise DataError(f"{path}: `{self.encoding}` is not a known `encoding`") from None
        except ValueError as error:
            _check_ragged(path, ragged, self, types)
            raise DataError(_explained(path, str(error), self)) from None

    def _options(
        self, path: str, types: dict[str, str], ragged: list[Any], threads: bool
    ) -> tuple[Any, ...]:
        """Read, parse and convert options; rows of a wrong length are collected in `ragged`."""
        import pyarrow as pa
        from pyarrow import csv

        def keep(row: Any) -> str:
            ragged.append(row)
            return "error" if threads else "skip"

        kinds = {"number": pa.float64(), "text": pa.string(), "date": pa.timestamp("s")}
        read = csv.ReadOptions(
            column_names=self.header, encoding=self.encoding, use_threads=threads
        )
        parse = csv.ParseOptions(
            delimiter=self._delimiter(path), quote_char=self.quote, newlines_in_values=True,
            invalid_row_handler=keep,
        )  # fmt: skip
        convert = csv.ConvertOptions(
            null_values=self.missing, strings_can_be_null=True, true_values=[], false_values=[],
            column_types={name: kinds[kind] for name, kind in types.items() if kind in kinds},
            auto_dict_encode=True, auto_dict_max_cardinality=65_536,
        )  # fmt: skip
        return read, parse, convert

    def _delimiter(self, path: str) -> str:
        return self.delimiter or ("\t" if path.endswith(".tsv") else ",")

    def _check_columns(self, table: pa.Table, path: str) -> None:
        unknown = [name for name in self.types if name not in table.column_names]
        if unknown:
            from ftune.data.frame import exists

            raise DataError(
                f"{path}: `types` names `{unknown[0]}`, which is no column; "
                + exists(unknown[0], table.column_names)
            )
        if table.num_columns == 1:
            header = table.column_names[0]
            other = next((d for d in ";\t|," if d in header and d != self._delimiter(path)), None)
            if other:
                raise DataError(
                    f"{path}: only one column, `{header}`; the delimiter seems to be"
                    f' "{_spoken(other)}": write `delimiter: "{_spoken(other)}"`'
                )


def _spoken(delimiter: str) -> str:
    return "\\t" if delimiter == "\t" else delimiter


def _not_text(encoding: str) -> str:
    return f"not {encoding.upper()}; save it as UTF-8, or name its `encoding` (latin-1, cp1252 …)"


def _check_ragged(path: str, ragged: list[Any], source: Csv, types: dict[str, str]) -> None:
    """Names the rows of a wrong length. Reads once more: only one thread knows row numbers."""
    if not ragged:
        return
    from pyarrow import csv

    from ftune.data.frame import spoken_rows

    first = ragged[0]
    ragged.clear()
    with contextlib.suppress(ValueError):  # another fault as well; this one comes first
        csv.read_csv(path, *source._options(path, types, ragged, threads=False))
    header = 0 if source.header else 1
    rows = [row.number - header for row in ragged if row.number]
    example = str((ragged or [first])[0].text).strip()[:80]
    raise DataError(
        f"{path}: {spoken_rows(rows)} with another number of values than the"
        f" {first.expected_columns} columns, e.g. {first.actual_columns}: `{example}`;"
        " add the missing values or quote those that contain the delimiter"
    )


def _explained(path: str, message: str, source: Csv) -> str:
    """A fault of the parser in our words."""
    if "invalid UTF8" in message or "codec" in message:
        return f"{path}: {_not_text(source.encoding)}"
    if "Empty CSV" in message:
        return f"{path}: the file has no header"
    reason = message.splitlines()[0]
    if "conversion error to" in reason:
        return f"{path}: a column is not what `types` says: {reason}"
    return f"{path}: not a readable CSV file: {reason}"
