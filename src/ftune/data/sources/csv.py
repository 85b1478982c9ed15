"""Comma-separated files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

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
KINDS = ("number", "text", "date")
REMEDY = "correct them, add them to `missing`, or declare `types: {{{name}: text}}`"


@dataclass(frozen=True)
class Csv:
    """A table in a text file, one row a line, with a header. Read by pyarrow."""

    default_target: ClassVar[str | None] = None
    typed: ClassVar[bool] = False
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".txt")

    path: str | dict[str, str] = setting(path=True)
    """The file; or one for each part: {train: a.csv, val: b.csv, test: c.csv}."""
    delimiter: str | None = setting(None)
    """What separates the values; null: a tab for .tsv, else a comma."""
    missing: list[str] = setting(UNKNOWN)
    """Texts that mean an unknown value."""
    types: dict[str, str] = setting({}, open=True)
    """What a column is, where the file alone would mislead: number, text or date by its name."""
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
        for column, kind in self.types.items():
            if kind not in KINDS:
                message = f"`{column}: {kind}`: expected one of {', '.join(KINDS)}"
                raise SettingError("types", message)

    def load(self) -> dict[str, Frame]:
        return read_parts(self.path, self.read)

    def read(self, path: str, types: dict[str, str] | None = None) -> Frame:
        """One file; `types` (by column) are those of a fitted pipeline, ours come first."""
        from ftune.data.sources.arrow import (
            check_mixed,
            check_width,
            existing,
            readable,
            to_frame,
        )  # fmt: skip
        from ftune.data.sources.csv_faults import width
        from ftune.limits.memory import check

        check(path, existing(path).stat().st_size // 8)
        check_width(path, width(path, self))
        wanted = (types or {}) | self.types
        with readable(path, "CSV"):
            frame = to_frame(self._table(path, wanted), path)
        for fault in self.faults_of(list(frame.columns), path, named=types is None):
            raise DataError(fault)
        check_mixed(frame, REMEDY, skip=wanted)
        return replace(frame, notes=self._notes(path, frame, wanted))

    def _notes(self, path: str, frame: Frame, types: dict[str, str]) -> dict[str, str]:
        """About whole numbers that were rounded; only the text tells what they were."""
        from ftune.data.sources.integers import beyond, text_notes

        names = [name for name in frame.named("number") if beyond(frame[name])]
        if not names:
            return {}
        read, parse, convert = self._options(path, types | dict.fromkeys(names, "text"))
        convert.include_columns = names
        return text_notes(self._read(path, read, parse, convert).unify_dictionaries())

    def written(self, path: str, names: list[str]) -> pa.Table:
        """These columns, every value as it stands there; nothing between commas is null."""
        import pyarrow as pa

        read, parse, convert = self._options(path, {})
        convert.include_columns, convert.null_values = names, [""]
        convert.column_types = dict.fromkeys(names, pa.string())
        return self._read(path, read, parse, convert)

    def _table(self, path: str, types: dict[str, str]) -> pa.Table:
        from ftune.data.sources.csv_faults import explained, not_text

        try:
            table = self._read(path, *self._options(path, types))
            return table.rename_columns(table.column_names)  # the names are decoded here
        except UnicodeDecodeError as error:
            reason = f"the header is {not_text(self.encoding)} ({error.reason})"
            raise DataError(f"{path}: {reason}") from None
        except LookupError:
            raise DataError(f"{path}: `{self.encoding}` is not a known `encoding`") from None
        except ValueError as error:
            raise explained(path, str(error), self) from None

    def _read(self, path: str, *options: Any) -> pa.Table:
        """Block by block, in a third of the memory, unless a column changes its type later on."""
        import pyarrow as pa
        from pyarrow import csv

        try:
            with csv.open_csv(path, *options) as blocks:
                return pa.Table.from_batches(blocks, blocks.schema)
        except ValueError:
            return csv.read_csv(path, *options)

    def _options(self, path: str, types: dict[str, str]) -> tuple[Any, ...]:
        """Options for reading, parsing and converting."""
        import pyarrow as pa
        from pyarrow import csv

        kinds = {"number": pa.float64(), "text": pa.string(), "date": pa.timestamp("s")}
        read = csv.ReadOptions(column_names=self.header, encoding=self.encoding)
        parse = csv.ParseOptions(
            delimiter=self.separator(path), quote_char=self.quote, newlines_in_values=True
        )
        convert = csv.ConvertOptions(
            null_values=self.missing, strings_can_be_null=True, true_values=[], false_values=[],
            column_types={name: kinds[kind] for name, kind in types.items()},
            auto_dict_encode=True, auto_dict_max_cardinality=65_536,
        )  # fmt: skip
        return read, parse, convert

    def separator(self, path: str) -> str:
        return self.delimiter or ("\t" if path.endswith(".tsv") else ",")

    def faults_of(self, names: list[str], path: str, named: bool = True) -> list[str]:
        """One column is a wrong delimiter; `named`: those of `types` must be there."""
        from ftune.data.frame import exists

        unknown = [name for name in self.types if name not in names and named]
        found = [
            f"{path}: `types` names `{name}`, which is no column; {exists(name, names)}"
            for name in unknown
        ]
        usual = self.separator(path)
        other = next((d for d in ";\t|," if d in names[0] and d != usual), None)
        if len(names) == 1 and other:
            found.append(
                f"{path}: only one column, `{names[0]}`; the delimiter seems to be"
                f' "{_spoken(other)}": write `delimiter: "{_spoken(other)}"`'
            )
        return found


def _spoken(delimiter: str) -> str:
    return "\\t" if delimiter == "\t" else delimiter
