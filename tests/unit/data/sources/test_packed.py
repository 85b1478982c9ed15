"""JSON arrays, packed JSON and texts; and what is said where one of them is broken."""

from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from ftune.data.prepare import prepare
from ftune.data.sources import stream
from ftune.data.sources.csv import Csv
from ftune.data.sources.jsonl import Jsonl
from ftune.data.sources.text import Text
from ftune.data.validation.validate import validate
from ftune.errors import DataError
from ftune.security.limits import memory

ReadData = Callable[..., Any]
Write = Callable[[str, str | bytes], str]
ROWS = [{"x": i, "s": {"t": 'a "b" ],[\n' + "ö" * i}, "y": "ab"[i % 2]} for i in range(30)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
INDENTED = json.dumps(ROWS, indent=2, ensure_ascii=False)


def zst(content: str) -> bytes:
    packed: bytes = pa.Codec("zstd").compress(content.encode(), asbytes=True)
    return packed


READ: dict[str, tuple[str, str | bytes]] = {
    "lines": ("t.jsonl", LINES),
    "packed lines": ("t.jsonl.gz", gzip.compress(LINES.encode())),
    "lines in zst": ("t.ndjson.zst", zst(LINES)),
    "lines in utf-16": ("t.jsonl", LINES.encode("utf-16")),
    "an array": ("t.json", json.dumps(ROWS)),
    "an array over lines": ("t.json", "\n " + INDENTED + "\n"),
    "an array with the ends of lines of Windows": ("t.json", INDENTED.replace("\n", "\r\n")),
    "an array that ends with a comma": ("t.json", json.dumps(ROWS)[:-1] + ", ]"),
    "an array below a mark": ("t.json", b"\xef\xbb\xbf" + INDENTED.encode()),
    "a packed array": ("t.json.bz2", bz2.compress(INDENTED.encode())),
    "a packed array in utf-16": ("t.json.gz", gzip.compress(INDENTED.encode("utf-16"))),
}


@pytest.mark.parametrize("case", READ)
def test_the_same_rows_of_json(case: str, read_data: ReadData, write: Write) -> None:
    name, content = READ[case]
    data = read_data(source="jsonl", path=write(name, content), target="y")
    frame = data.source.load()["all"]
    assert frame["x"].tolist() == list(range(30))
    assert frame["s.t"].tolist() == [row["s"]["t"] for row in ROWS]  # type: ignore[index]
    (told,) = validate(data, "classes")
    assert (told.rows, told.columns) == (30, 3)


def test_a_row_longer_than_a_block_of_an_array(write: Write) -> None:
    rows = [{"s": "x" * 2**21}, {"s": "y"}]
    frame = Jsonl("t.json").read(write("t.json", json.dumps(rows)))
    assert [len(text) for text in frame["s"]] == [2**21, 1]


def test_rounded_integers_of_an_array_are_told(write: Write) -> None:
    rows = json.dumps([{"id": 2**64 + i} for i in range(9)], indent=1)
    assert "distinct whole numbers" in Jsonl("t.json").read(write("t.json", rows)).notes["id"]


def test_lists_of_objects_of_an_array_are_those_of_lines(write: Write) -> None:
    """Conversations stay as they are written, mixed types in them too."""
    turns: list[Any] = [
        {"m": [{"role": "a", "content": "x"}, {"content": ["y"]}]},
        {"m": [{"role": "b"}]},
    ]
    lines = "".join(json.dumps(row) + "\n" for row in turns)
    array = Jsonl("t.json").read(write("t.json", json.dumps(turns, indent=1)))["m"].tolist()
    assert array == Jsonl("t.jsonl").read(write("t.jsonl", lines))["m"].tolist()
    assert [json.loads(row) for row in array] == [row["m"] for row in turns]


PANDAS = 'write an array of objects, or one object a line (pandas: to_json(path, orient="records"))'
FAULTS: dict[str, tuple[str | bytes, list[str]]] = {
    "no comma": (INDENTED.replace("  },\n  {", "  }\n  {", 1), ["t.json:9:3: expected a comma"]),
    "cut": (INDENTED[:-9], ["t.json:", ": no JSON: "]),
    "two commas": (json.dumps(ROWS)[:-1] + ",,]", [": no JSON: Expecting value"]),
    "more behind it": (INDENTED + "\n{}", ["the array has ended; write one array"]),
    "lists a line": ("[1, 2]\n[3, 4]\n", ["t.json:2:1: the array has ended"]),
    "numbers": ("[1, 2, 3]", ["3 rows (1, 2, 3): not a JSON object"]),
    "one that is none": (
        json.dumps([*ROWS[:5], 7]), ["row 6: not a JSON object; write one object a line"]),
    "several types": (json.dumps([{"y": "a"}, {"y": 2}]), ["text in row 1; number in row 2"]),
    "latin-1": (INDENTED.encode("latin-1"), ["not UTF-8"]),
    "deep": ("[" + "[" * 90_000 + "]" * 90_000 + "]", ["nested deeper than 100 levels"]),
    "less deep": (json.dumps([{"a": 1}]).replace("1", "[" * 200 + "]" * 200), ["deeper than 100"]),
    "nothing": ("[]", []),
    "cut gzip": (gzip.compress(INDENTED.encode())[:-20], ["not a readable JSON lines file: "]),
    "columns": (json.dumps({"x": [1, 2], "y": ["a", "b"]}), ["one object (x, y) with", PANDAS]),
    "columns by row": (json.dumps({"x": {"0": 1}, "y": {"0": "a"}}, indent=1), [PANDAS]),
    "an array inside": (json.dumps({"data": ROWS}), ["one object (data)", PANDAS]),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_what_is_said_of_broken_json(case: str, read_data: ReadData, write: Write) -> None:
    content, expected = FAULTS[case]
    data = read_data(source="jsonl", path=write("t.json", content), target="y")
    for look in (lambda: prepare(data, "classes", 0), lambda: validate(data, "classes")):
        with pytest.raises(DataError) as caught:
            look()
        said = str(caught.value)
        assert "t.json" in said and [text for text in expected if text not in said] == [], said


def test_one_row_with_a_list_beside_numbers_is_a_row(write: Write) -> None:
    frame = Jsonl("t.json").read(write("t.json", '{"x": [1, 2], "y": 3}'))
    assert (frame["x"].shape, frame["y"].tolist()) == ((1, 2), [3.0])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.txt", "a\nö\n".encode()),
        ("t.txt.gz", gzip.compress("a\nö\n".encode())),
        ("t.txt", "a\nö\n".encode("utf-16")),
    ],
    ids=["plain", "gzip", "utf-16"],  # not the content: gzip notes the time
)
def test_the_same_text(name: str, content: bytes, read_data: ReadData, write: Write) -> None:
    path = write(name, content)
    assert Text(path).load()["all"]["text"].tolist() == ["a\n", "ö\n"]
    (told,) = validate(read_data(source="text", path=path), "tokens")
    assert told.rows == 2


def test_a_cut_text(read_data: ReadData, write: Write) -> None:
    path = write("t.txt.gz", gzip.compress(b"a\n" * 999)[:-9])
    for look in (Text(path).load, lambda: validate(read_data(source="text", path=path), "tokens")):
        with pytest.raises(DataError, match="not a readable text file"):
            look()


@pytest.mark.parametrize("source", [Csv, Jsonl, Text])
def test_what_would_unpack_beyond_the_memory(
    source: Any, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5 MB of lines in 25 KB, where 0.5 MB are left; the control reads the same where they are."""
    line = {Csv: b"1,2\n", Jsonl: b'{"a": 1}\n', Text: b"abc\n"}[source]
    path = write("t.gz", gzip.compress(line * (5_000_000 // len(line)), 1))
    for module in (stream, memory):
        monkeypatch.setattr(module, "available", lambda: 500_000)
    with pytest.raises(DataError, match="of memory, 500,000 bytes are available"):
        source(path).read(path)
    monkeypatch.setattr(stream, "available", lambda: 2**40)
    monkeypatch.setattr(memory, "available", lambda: 2**40)
    assert len(source(path).read(path)) > 500_000
