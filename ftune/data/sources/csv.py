"""Comma-separated files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.config.fields import setting
from ftune.config.read import SettingError
from ftune.data.sources.files import TableFile, read_parts, suffix
from ftune.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pyarrow as pa

    from ftune.data.frame import Frame
    from ftune.data.sources.csv_form import CsvDialect
    from ftune.data.sources.csv_reader import CsvReader

UNKNOWN = [
    "", "?", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND",
    "1.#QNAN", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null",
]  # fmt: skip


@dataclass(frozen=True)
class Csv(TableFile):
    """A table in a text file, one row a line, with a header; also packed (gz, bz2, zst).

    Read by pyarrow. A delimiter at the end of each line is no column.
    """

    typed: ClassVar[bool] = False
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".txt")

    delimiter: str | None = setting(None, fact="layout")
    """What separates the values; null: a tab for .tsv, else a comma."""
    missing: list[str] = setting(UNKNOWN, fact="layout")
    """Texts that mean an unknown value."""
    quote: str = setting('"', fact="layout")
    """The character around values that contain the delimiter."""
    header: list[str] | None = setting(None)
    """The column names of a file that has no header; null: its first line."""
    skip: int = setting(0, at_least=0, exact=False, fact="layout")
    """Lines above the header that do not belong to the table."""
    encoding: str = setting("utf-8", fact="layout")
    """How the text is encoded: utf-8, latin-1, cp1252 … UTF-16 is known by its byte order mark."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("delimiter", "quote"):
            value = getattr(self, name)
            if value is not None and len(value) != 1:
                raise SettingError(name, f"`{value}`: expected one character")

    def dialect(self, path: str) -> CsvDialect:
        """Return how the file is written."""
        from ftune.data.sources.csv_form import CsvDialect

        header = None if self.header is None else tuple(self.header)
        return CsvDialect(path, self.separator(path), self.quote, self.encoding, self.skip, header)

    def reader(self, path: str, missing: Sequence[str] | None = None) -> CsvReader:
        """Return what reads the blocks of the file; missing: in the place of our own."""
        from ftune.data.sources.csv_reader import CsvReader

        missing = self.missing if missing is None else missing
        return CsvReader(self.dialect(path), missing, self.point)

    def load(self) -> dict[str, Frame]:
        return self.load_as({}, ())

    def load_as(self, known: Mapping[str, str], measured: Collection[str]) -> dict[str, Frame]:
        """Read the files; what the first holds in its columns, the others must hold too."""
        from ftune.data.frame import kinds_of

        known = dict(known)

        def read(path: str) -> Frame:
            frame = self.read(path, known, measured, named=True)
            known.update({n: kind for n, kind in kinds_of(frame).items() if n not in known})
            return frame

        return read_parts(self.path, read)

    def read(
        self,
        path: str,
        types: Mapping[str, Any] | None = None,
        measured: Collection[str] = (),
        named: bool = False,
    ) -> Frame:
        """Read one file. types: what its columns are known to be; our own `types` come first.

        measured: columns whose digits are numbers, however long. named: our own `types` have to
        name columns of it.
        """
        from ftune.data.row_report import list_faults
        from ftune.data.sources.arrow import readable, to_frame
        from ftune.data.sources.integers import notes_of_texts
        from ftune.data.sources.written import text_faults

        declared = {**(types or {}), **self.types}
        reader = self.reader(path)
        with readable(path, "CSV"):
            table = self.as_set(path, declared, named or types is None, reader)
            if faults := text_faults(table, path, self, declared):
                raise DataError(list_faults(faults))
            table, notes = _names_as_texts(reader, table, {*declared, *measured})
            tables = [table]
            del table  # no name holds it, so that each column goes when it has been taken over
            frame = to_frame(tables.pop(), path)
        notes_on_integers = notes_of_texts(frame, lambda n: reader.table(reader.texts(n), n))
        return replace(frame, notes=notes | notes_on_integers)

    def as_set(
        self,
        path: str,
        types: Mapping[str, Any] | None = None,
        named: bool = True,
        reader: CsvReader | None = None,
    ) -> pa.Table:
        """Return the file as `types` and the notation have it; other texts are as they stand.

        named: the columns of our own `types` have to be there.
        """
        from ftune.data.sources.arrow import check_width, existing, one_nameless, readable
        from ftune.data.sources.stream import check_size
        from ftune.data.sources.written import read_texts

        existing(path)
        reader = reader or self.reader(path)
        declared = self.types if types is None else types
        with readable(path, "CSV"):
            check_size(path)
            check_width(path, len(reader.form.keys))
            table = self._table(reader, declared)
            for fault in self.faults_of(table.column_names, path, named):
                raise DataError(fault)
            return read_texts(one_nameless(table), path, self, declared)

    def _table(self, reader: CsvReader, types: Mapping[str, Any]) -> pa.Table:
        """With texts in what `types` names where Arrow does not read all of it; we may.

        Raises DataError, also for what is not as declared.
        """
        import pyarrow as pa

        from ftune.data.sources.written import misfits

        number = pa.string() if self.thousands else pa.float64()
        kinds = {"number": number, "text": pa.string(), "date": pa.timestamp("s")}
        declared = {
            name: kinds[kind] if isinstance(kind, str) else pa.string()
            for name, kind in types.items()
        }
        if fault := reader.header_fault:
            raise DataError(fault)
        try:
            return reader.table(declared)
        except ValueError as error:
            if "conversion error to" not in str(error):
                raise reader.fault(error) from None
        try:
            table = reader.table(reader.texts(types))
        except ValueError as error:
            raise reader.fault(error) from None
        if fault := misfits(table, reader.dialect.path, self, types):
            raise DataError(fault)
        return table

    def swallowed(self, path: str, name: str) -> dict[str, int]:
        """Return the texts in a column that `missing` lists, with how many rows each has."""
        from collections import Counter

        import pyarrow.compute as pc

        words, taken = Counter[str](), {text for text in self.missing if text.strip()}
        reader = self.reader(path, missing=())
        try:
            with reader.open(reader.texts([name]), [name]) as blocks:
                for block in blocks:  # a block at a time: `check --data` may read a large file
                    counts = pc.value_counts(block.column(0)).to_pylist()
                    words.update({c["values"]: c["counts"] for c in counts if c["values"] in taken})
        except ValueError:  # what else is wrong with the file is told anyway
            return {}
        return {text: words[text] for text in self.missing if text in words}

    def written(self, path: str, names: list[str]) -> pa.Table:
        """Return these columns as they are written; nothing between commas is null."""
        reader = self.reader(path, missing=[""])
        return reader.table(reader.texts(names), names)

    def separator(self, path: str) -> str:
        return self.delimiter or ("\t" if suffix(path) == ".tsv" else ",")

    def faults_of(self, names: list[str], path: str, named: bool = True) -> list[str]:
        """One column is a wrong delimiter; `named`: those of `types` must be there."""
        from ftune.data.sources.csv_form import advice
        from ftune.data.sources.declared import unknown_types

        remedy = advice(self.dialect(path), ragged=False) if len(names) == 1 else ""
        faults = [f"{path}: only one column, `{names[0]}`; {remedy}"] if remedy else []
        return faults + (unknown_types(names, path, self) if named else [])


def _names_as_texts(
    reader: CsvReader, table: pa.Table, known: Collection[str]
) -> tuple[pa.Table, dict[str, str]]:
    """Return the table with texts in the place of digits that are names, and notes on them."""
    from ftune.data.sources import identity
    from ftune.data.sources.distinct import distinct

    notes: dict[str, str] = {}
    names = identity.suspects(table, known, reader.first_block)
    texts = reader.table(reader.texts(names), names) if names else table
    for name in names:
        values = distinct(texts[name]).values
        if why := identity.reason(values):
            notes[name] = identity.note(name, why, values)
            table = table.set_column(table.column_names.index(name), name, texts[name])
    return table, notes
