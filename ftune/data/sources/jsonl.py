"""JSON: one object a line, or an array of objects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.data.sources.files import TableFile, read_parts
from ftune.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    import pyarrow as pa

    from ftune.data.frame import Frame


@dataclass(frozen=True)
class Jsonl(TableFile):
    """A text file with one JSON object a line, or an array of them; also packed (gz, bz2, zst).

    Nested objects become columns `outer.inner`.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson", ".json")

    def load(self) -> dict[str, Frame]:
        return read_parts(self.path, lambda path: self._read(path, None))

    def load_as(self, known: Mapping[str, str], measured: Collection[str]) -> dict[str, Frame]:  # noqa: ARG002
        """Read the files; known: see `as_declared`."""
        return read_parts(self.path, lambda path: self._read(path, known))

    def read(self, path: str, types: Mapping[str, Any] | None = None) -> Frame:  # noqa: ARG002
        """One file; a JSON value states its own type."""
        return self._read(path, None)

    def _read(self, path: str, known: Collection[str] | None) -> Frame:
        from pathlib import Path

        from ftune.data.sources.arrow import readable, to_frame
        from ftune.data.sources.declared import as_declared

        with readable(path, "JSON lines"):
            frame = to_frame(as_declared(self._table(path), path, self, known), path)
        return replace(frame, notes={**frame.notes, **_longer(Path(path), frame)})

    def as_set(self, path: str) -> pa.Table:
        """The file as `types` and the notation have it; other texts are as they stand."""
        from ftune.data.sources.arrow import readable
        from ftune.data.sources.declared import as_declared

        with readable(path, "JSON lines"):
            return as_declared(self._table(path), path, self)

    def written(self, path: str, names: list[str]) -> pa.Table:
        """These columns as the file has them."""
        return self._table(path).select(names)

    def _table(self, path: str) -> pa.Table:
        import pyarrow as pa
        from pyarrow import json

        from ftune.data.sources.arrow import existing, readable
        from ftune.data.sources.json_rows import opened

        file = existing(path)
        with readable(path, "JSON lines"):
            check_claims(file)
            try:
                table = _verbatim(file, json.read_json(opened(path)))
            except pa.ArrowInvalid as error:
                if "straddling" in str(error):  # a line longer than a block of the parser
                    whole = opened(path).read()
                    size = json.ReadOptions(block_size=min(len(whole) + 1, 2**31 - 1))
                    table = _verbatim(file, json.read_json(pa.BufferReader(whole), size))
                else:
                    _check_lines(file)
                    table = _verbatim(file, None, error)
            return table.flatten()


def one_object(path: str) -> str:
    """What is said of a file of one object whose values are lists or objects: columns, not rows.

    Empty where that is not what it holds.
    """
    import json

    from ftune.data.sources.json_rows import lines

    try:
        item = json.loads(b"".join(lines(path)))
    except ValueError:
        return ""
    if not isinstance(item, dict) or not all(isinstance(v, list | dict) for v in item.values()):
        return ""
    return (
        f"{path}: holds one object ({', '.join(list(item)[:5])}) with all rows in it; write an"
        ' array of objects, or one object a line (pandas: to_json(path, orient="records"))'
    )


def _verbatim(file: Path, table: Any, error: Exception | None = None) -> Any:
    """The table with lists of objects as the JSON text that the file has.

    Arrow gives each object in a list the keys of all of them, and takes a key with a text here and
    a list there for a fault: both are usual in conversations. table: None where Arrow raised
    `error`, which is raised again where the file holds no such lists.
    """
    import json

    import pyarrow as pa

    from ftune.data.sources.json_rows import lines

    if table is not None and not any(_holds_objects(field.type) for field in table.schema):
        return table
    try:
        rows = [json.loads(line) for line in lines(file) if line.strip()]
    except ValueError:  # an object over several lines
        rows = []
    nested = {name for row in rows for name, value in row.items() if is_nested(value)}
    if table is None and error is not None and not nested:
        raise error
    texts = {
        name: pa.array([dumped(row.get(name)) for row in rows], pa.string()) for name in nested
    }
    if table is None:
        plain = [{k: v for k, v in row.items() if k not in nested} for row in rows]
        names = list(dict.fromkeys(name for row in rows for name in row))
        table = pa.Table.from_pylist([dict.fromkeys(names) | row for row in plain])
    for name in nested:
        table = table.set_column(table.column_names.index(name), name, texts[name])
    return table


def dumped(value: Any) -> str | None:
    """A value as JSON text; nothing for none."""
    import json

    return None if value is None else json.dumps(value, ensure_ascii=False)


def is_nested(value: Any) -> bool:
    """Whether a value is a list with objects in it, as the turns of a conversation."""
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)


def _holds_objects(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) and pa.types.is_struct(kind.value_type))


def _longer(file: Path, frame: Frame) -> dict[str, str]:
    """About whole numbers beyond 64 bits, which Arrow reads as floats; only the text tells them."""
    import json

    from ftune.data.sources.integers import STORE, beyond, rounded
    from ftune.data.sources.json_rows import lines

    names = [n for n in frame.named("number") if n not in frame.notes and beyond(frame[n])]
    if not names:
        return {}
    integers: dict[str, set[int]] = {name: set() for name in names}
    for line in (line for line in lines(file) if line.strip()):
        try:
            item = json.loads(line)
        except ValueError:  # an object over several lines
            continue
        for name in names:
            value = item.get(name)
            if isinstance(value, int):
                integers[name].add(value)
    sentences: dict[str, str] = {}
    for name, values in integers.items():
        sentences |= rounded(name, values, STORE)
    return sentences


def check_claims(file: Path) -> None:
    """What would end Arrow's parser, and the process with it: deep nesting, and no object at all.

    An object may go over several lines; `depth` is what is open where a line begins.
    """
    from ftune.data.sources.arrow import MOST_COLUMNS, check_width
    from ftune.data.sources.json_rows import lines
    from ftune.data.sources.stream import check_size
    from ftune.limits.documents import MOST_LEVELS, keys, nesting

    check_size(file)
    depth = 0
    for number, line in enumerate(lines(file), 1):
        begun, ended = (line.count(a) + line.count(b) for a, b in ((b"[", b"{"), (b"]", b"}")))
        if not depth and b"{" not in line and line.strip():
            _check_lines(file)
            raise DataError(f"{file}: line {number:,}: not a JSON object; write one a line")
        if depth or begun != ended or begun > MOST_LEVELS:
            deepest, left = nesting(line)
            if depth + deepest > MOST_LEVELS:
                raise DataError(
                    f"{file}: line {number:,}: nested deeper than {MOST_LEVELS} levels; flatten"
                )
            depth = max(0, depth + left)
        if line.count(b":") > MOST_COLUMNS:
            check_width(f"{file}: line {number:,}", keys(line))


def _check_lines(file: Path) -> None:
    """Raises DataError for the first fault of the lines, if there is one."""
    for fault in line_faults(file):
        raise DataError(fault)


def line_faults(file: Path) -> list[str]:
    """Which lines are not JSON objects, and which columns change their type; holds one line."""
    import json

    from ftune.data.row_report import RowReport
    from ftune.data.sources.json_rows import lines

    bad, odd, kinds = RowReport(), RowReport(), dict[str, dict[str, RowReport]]()
    for number, line in enumerate((one for one in lines(file) if one.strip()), 1):
        try:
            item = json.loads(line)
            if not isinstance(item, dict):
                raise ValueError
        except UnicodeDecodeError:
            odd.add([number])
            continue
        except ValueError:
            bad.add([number])
            continue
        for key, value in item.items():
            kinds.setdefault(key, {}).setdefault(_json_kind(value), RowReport()).add([number])
    faults = [f"{file}: {bad.said}: not a JSON object; write one object a line"] if bad else []
    faults += [f"{file}: {odd.said}: not UTF-8; save the file as UTF-8"] if odd else []
    for key, found in kinds.items():
        found.pop("null", None)
        if len(found) > 1:
            said = "; ".join(f"{kind} in {rows.said}" for kind, rows in found.items())
            faults.append(
                f"{file}: column `{key}` holds values of several types: {said}; use one type"
            )
    return faults


def _json_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "null" if value is None else "list" if isinstance(value, list) else "object"
