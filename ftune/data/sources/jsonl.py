"""JSON: one object a line, or an array of objects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.data.sources.typed import TypedFile

if TYPE_CHECKING:
    from collections.abc import Collection

    import pyarrow as pa

    from ftune.data.frame import Frame


@dataclass(frozen=True)
class Jsonl(TypedFile):
    """A text file with one JSON object a line, or an array of them; also packed (gz, bz2, zst).

    Nested objects become columns `outer.inner`.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson", ".json")
    format: ClassVar[str] = "JSON lines"

    def _read(self, path: str, known: Collection[str] | None) -> Frame:
        frame = super()._read(path, known)
        return replace(frame, notes={**frame.notes, **_longer(Path(path), frame)})

    def table(self, path: str) -> pa.Table:
        import pyarrow as pa
        from pyarrow import json

        from ftune.data.sources.arrow import existing, readable
        from ftune.data.sources.json_faults import check_claims, check_lines
        from ftune.data.sources.json_rows import opened

        file = existing(path)
        with readable(path, self.format):
            check_claims(file)
            try:
                table = _verbatim(file, json.read_json(opened(path)))
            except pa.ArrowInvalid as error:
                if "straddling" in str(error):  # a line longer than a block of the parser
                    whole = opened(path).read()
                    size = json.ReadOptions(block_size=min(len(whole) + 1, 2**31 - 1))
                    table = _verbatim(file, json.read_json(pa.BufferReader(whole), size))
                else:
                    check_lines(file)
                    table = _verbatim(file, None, error)
            return table.flatten()


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
