"""Comma-separated files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.data.sources.files import TableFile, read_parts, suffix
from ftune.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import pyarrow as pa

    from ftune.data.frame import Frame
    from ftune.data.sources.csv_form import Form

UNKNOWN = [
    "", "?", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND",
    "1.#QNAN", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null",
]  # fmt: skip


@dataclass(frozen=True)
class Csv(TableFile):
    """A table in a text file, one row a line, with a header; also packed (gz, bz2, zst).

    Read by pyarrow. A delimiter at the end of each line is no column.
    """

    default_target: ClassVar[str | None] = None
    typed: ClassVar[bool] = False
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".txt")

    delimiter: str | None = setting(None)
    """What separates the values; null: a tab for .tsv, else a comma."""
    missing: list[str] = setting(UNKNOWN)
    """Texts that mean an unknown value."""
    quote: str = setting('"')
    """The character around values that contain the delimiter."""
    header: list[str] | None = setting(None)
    """The column names of a file that has no header; null: its first line."""
    skip: int = setting(0, at_least=0, exact=False)
    """Lines above the header that do not belong to the table."""
    encoding: str = setting("utf-8")
    """How the text is encoded: utf-8, latin-1, cp1252 … UTF-16 is known by its byte order mark."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("delimiter", "quote"):
            value = getattr(self, name)
            if value is not None and len(value) != 1:
                raise SettingError(name, f"`{value}`: expected one character")

    def load(
        self, types: Mapping[str, Any] | None = None, measured: Collection[str] = ()
    ) -> dict[str, Frame]:
        """The files; what the first holds in its columns, the others must hold too."""
        from ftune.data.frame import kinds_of

        told = dict(types or {})

        def read(path: str) -> Frame:
            frame = self.read(path, told, measured, named=True)
            told.update({name: kind for name, kind in kinds_of(frame).items() if name not in told})
            return frame

        return read_parts(self.path, read)

    def read(
        self,
        path: str,
        types: Mapping[str, Any] | None = None,
        measured: Collection[str] = (),
        named: bool = False,
    ) -> Frame:
        """One file. types: what its columns are known to be; our own `types` come first.

        measured: columns whose digits are numbers, however long. named: our own `types` have to
        name columns of it.
        """
        from ftune.data.found import listed
        from ftune.data.sources.arrow import readable, to_frame
        from ftune.data.sources.written import text_faults

        wanted = {**(types or {}), **self.types}
        with readable(path, "CSV"):
            table = self.as_set(path, wanted, named or types is None)
            if faults := text_faults(table, path, self, wanted):
                raise DataError(listed(faults))
            table, notes = self._as_names(path, table, {*wanted, *measured})
            tables = [table]
            del table  # no name holds it, so that each column goes when it has been taken over
            frame = to_frame(tables.pop(), path)
        return replace(frame, notes=notes | self._notes(path, frame))

    def as_set(
        self, path: str, types: Mapping[str, Any] | None = None, named: bool = True
    ) -> pa.Table:
        """The file as `types` and the notation have it; other texts are as they stand.

        named: the columns of our own `types` have to be there.
        """
        from ftune.data.sources.arrow import check_width, existing, one_nameless, readable
        from ftune.data.sources.csv_form import form_of
        from ftune.data.sources.stream import check_size
        from ftune.data.sources.written import read_texts

        existing(path)
        wanted = self.types if types is None else types
        with readable(path, "CSV"):
            check_size(path)
            check_width(path, len(form_of(path, self).keys))
            table = self._table(path, wanted)
            for fault in self.faults_of(table.column_names, path, named):
                raise DataError(fault)
            return read_texts(one_nameless(table), path, self, wanted)

    def _as_names(
        self, path: str, table: pa.Table, known: Collection[str]
    ) -> tuple[pa.Table, dict[str, str]]:
        """With texts in the place of digits that are names, and what is said of them."""
        from ftune.data.sources import identity
        from ftune.data.sources.written import distinct

        notes: dict[str, str] = {}
        names = identity.suspects(table, known, lambda names: self._texts(path, names, head=True))
        if not names:
            return table, notes
        texts = self._texts(path, names)
        for name in names:
            values = distinct(texts[name]).values
            if why := identity.reason(values):
                notes[name] = identity.note(name, why, values)
                table = table.set_column(table.column_names.index(name), name, texts[name])
        return table, notes

    def _texts(self, path: str, names: list[str], head: bool = False) -> pa.Table:
        """These columns as they are written; head: of the first block alone."""
        import pyarrow as pa
        from pyarrow import csv

        from ftune.data.sources.stream import unpacked

        options = self._text_options(path, names)
        if not head:
            return self._read(path, *options).unify_dictionaries().rename_columns(names)
        with csv.open_csv(unpacked(path), *options) as blocks:
            return pa.Table.from_batches([blocks.read_next_batch()]).rename_columns(names)

    def _text_options(self, path: str, names: list[str]) -> tuple[Any, ...]:
        """`_options` for these columns alone, as texts."""
        read, parse, convert = self._options(path, dict.fromkeys(names, "text"))
        written = self._written(path)
        convert.include_columns = [written.get(name, name) for name in names]
        return read, parse, convert

    def _written(self, path: str) -> dict[str, str]:
        """By the name of a column, how it is written in the file, where that is another way."""
        from ftune.data.sources.csv_form import form_of
        from ftune.data.spellings import plain_names

        names = form_of(path, self).names
        pairs = zip(plain_names(names), names, strict=True)
        return {name: written for name, written in pairs if name != written}

    def swallowed(self, path: str, name: str) -> dict[str, int]:
        """The texts in a column that `missing` lists, with how many rows each has."""
        from collections import Counter

        import pyarrow.compute as pc
        from pyarrow import csv

        from ftune.data.sources.stream import unpacked

        read, parse, convert = self._text_options(path, [name])
        convert.strings_can_be_null = False
        words, taken = Counter[str](), {text for text in self.missing if text.strip()}
        try:
            with csv.open_csv(unpacked(path), read, parse, convert) as blocks:
                for block in blocks:  # a block at a time: `check --data` may read a large file
                    counts = pc.value_counts(block.column(0)).to_pylist()
                    words.update({c["values"]: c["counts"] for c in counts if c["values"] in taken})
        except ValueError:  # what else is wrong with the file is told anyway
            return {}
        return {text: words[text] for text in self.missing if text in words}

    def _notes(self, path: str, frame: Frame) -> dict[str, str]:
        """About whole numbers that were rounded; only the text tells what they were."""
        from ftune.data.sources.integers import beyond, text_notes

        names = [name for name in frame.named("number") if beyond(frame[name])]
        return text_notes(self._texts(path, names)) if names else {}

    def written(self, path: str, names: list[str]) -> pa.Table:
        """These columns, every value as it stands there; nothing between commas is null."""
        read, parse, convert = self._text_options(path, names)
        convert.null_values = [""]
        return self._read(path, read, parse, convert).rename_columns(names)

    def _table(self, path: str, types: Mapping[str, Any]) -> pa.Table:
        from ftune.data.sources.csv_faults import explained, not_text
        from ftune.data.sources.csv_form import form_of
        from ftune.data.spellings import plain_names

        try:
            try:
                table = self._read(path, *self._options(path, types))
            except ValueError as error:
                if "conversion error to" not in str(error):
                    raise
                table = self._as_texts(path, types)
            table = self._without_closing(path, table, form_of(path, self))
            return table.rename_columns(plain_names(table.column_names))  # they are decoded here
        except UnicodeDecodeError as error:
            reason = f"the header is {not_text(self.encoding)} ({error.reason})"
            raise DataError(f"{path}: {reason}") from None
        except ValueError as error:
            raise explained(path, str(error), self) from None

    def _without_closing(self, path: str, table: pa.Table, form: Form) -> pa.Table:
        """Without what the delimiters at the ends of lines make, which must be empty."""
        import pyarrow.compute as pc

        from ftune.data.frame import spoken_rows
        from ftune.data.sources.csv_faults import beyond

        for key in form.keys[len(form.names) :]:
            rows = pc.indices_nonzero(pc.fill_null(pc.not_equal(table[key], ""), False))
            if len(rows):
                raise DataError(beyond(path, spoken_rows((rows.to_numpy() + 1).tolist())))
        return table.select(range(len(form.names))) if form.closing else table

    def _as_texts(self, path: str, types: Mapping[str, Any]) -> pa.Table:
        """With texts in what `types` names, since Arrow does not read all of it; we may.

        Raises DataError that names what is not as declared.
        """
        from ftune.data.sources.written import misfits
        from ftune.data.spellings import plain_names

        table = self._read(path, *self._options(path, dict.fromkeys(types, "text")))
        named = table.rename_columns(plain_names(table.column_names))
        if fault := misfits(named, path, self, types):
            raise DataError(fault)
        return table

    def _read(self, path: str, *options: Any) -> pa.Table:
        """Block by block, in a third of the memory, unless a column changes its type later on."""
        import pyarrow as pa
        from pyarrow import csv

        from ftune.data.sources.stream import unpacked

        try:
            with csv.open_csv(unpacked(path), *options) as blocks:
                return pa.Table.from_batches(blocks, blocks.schema)
        except ValueError:
            return csv.read_csv(unpacked(path), *options)

    def _options(self, path: str, types: Mapping[str, Any]) -> tuple[Any, ...]:
        """Options for reading, parsing and converting."""
        import pyarrow as pa
        from pyarrow import csv

        from ftune.data.sources.csv_form import form_of
        from ftune.data.sources.stream import encoding

        form = form_of(path, self)
        number = pa.string() if self.thousands else pa.float64()
        kinds = {"number": number, "text": pa.string(), "date": pa.timestamp("s")}
        read = csv.ReadOptions(
            column_names=self.header if form.whole else form.keys,
            skip_rows=self.skip if form.whole else form.lines,
            encoding=encoding(path, self.encoding),
            block_size=form.block_size,
        )
        parse = csv.ParseOptions(
            delimiter=self.separator(path), quote_char=self.quote, newlines_in_values=True
        )
        written = self._written(path) if types else {}
        convert = csv.ConvertOptions(
            null_values=self.missing, strings_can_be_null=True, true_values=[], false_values=[],
            column_types={
                written.get(name, name): kinds[kind] if isinstance(kind, str) else pa.string()
                for name, kind in types.items()
            }
            | dict.fromkeys(form.keys[len(form.names) :], pa.string()),
            decimal_point=self.point, auto_dict_encode=True, auto_dict_max_cardinality=65_536,
        )  # fmt: skip
        return read, parse, convert

    def separator(self, path: str) -> str:
        return self.delimiter or ("\t" if suffix(path) == ".tsv" else ",")

    def faults_of(self, names: list[str], path: str, named: bool = True) -> list[str]:
        """One column is a wrong delimiter; `named`: those of `types` must be there."""
        from ftune.data.sources.csv_form import advice
        from ftune.data.sources.declared import unknown_types

        remedy = advice(path, self, ragged=False) if len(names) == 1 else ""
        found = [f"{path}: only one column, `{names[0]}`; {remedy}"] if remedy else []
        return found + (unknown_types(names, path, self) if named else [])
