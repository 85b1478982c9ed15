"""CSV files as people have them: packed, in UTF-16, below other lines, with closing delimiters."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ftune.data.frame import Frame
from ftune.data.new_rows import new_rows
from ftune.data.prepare import prepare
from ftune.data.sources.csv import Csv
from ftune.data.sources.files import suffix
from ftune.data.validation.validate import validate
from ftune.errors import DataError

ReadData = Callable[..., Any]
Write = Callable[[str, str | bytes], str]
ROWS = [(f"{i}.5", "red" if i % 3 else "blü", "ab"[i % 2]) for i in range(40)]


def table(delimiter: str = ",", above: str = "", ends: str = "", head: str | None = None) -> str:
    """40 rows of three columns; ends: what closes a row, head: what closes the header."""
    header = delimiter.join(("size", "colour", "kind")) + (ends if head is None else head)
    return above + "\n".join([header, *(delimiter.join(row) + ends for row in ROWS), ""])


PLAIN = table().encode()
ZSTD: bytes = pa.Codec("zstd").compress(PLAIN, asbytes=True)
READ: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "plain": ("t.csv", PLAIN, {}),
    "gzip": ("t.csv.gz", gzip.compress(PLAIN), {}),
    "gzip in two pieces": ("t.csv.gz", gzip.compress(PLAIN[:99]) + gzip.compress(PLAIN[99:]), {}),
    "gzip of which the name tells nothing": ("t.csv", gzip.compress(PLAIN), {}),
    "a plain file that is called gz": ("t.csv.gz", PLAIN, {}),
    "bz2": ("t.csv.bz2", bz2.compress(PLAIN), {}),
    "zst": ("t.csv.zst", ZSTD, {}),
    "packed tabs": ("t.TSV.GZ", gzip.compress(table("\t").encode()), {}),
    "a mark of utf-8": ("t.csv", b"\xef\xbb\xbf" + PLAIN, {}),
    "a mark of utf-8 before a quote": ("t.csv", b'\xef\xbb\xbf"size"' + PLAIN[4:], {}),
    "utf-16": ("t.csv", table().encode("utf-16"), {}),
    "utf-16 of the other order": ("t.csv", b"\xfe\xff" + table().encode("utf-16-be"), {}),
    "utf-32": ("t.csv", table().encode("utf-32"), {}),
    "utf-16 that is named": ("t.csv", table().encode("utf-16"), {"encoding": "utf-16"}),
    "packed utf-16": ("t.csv.gz", gzip.compress(table().encode("utf-16")), {}),
    "latin-1 in gzip": (
        "t.csv.gz", gzip.compress(table().encode("latin-1")), {"encoding": "latin-1"}),
    "lines above": ("t.csv", table(above='# by "me, 2024\n\n').encode(), {"skip": 2}),
    "lines above, in utf-16": ("t.csv", table(above="# x\r\n").encode("utf-16"), {"skip": 1}),
    "lines above rows without a header": (
        "t.csv", table(above="# x\n").encode(), {"skip": 2, "header": ["size", "colour", "kind"]}),
    "closed rows": ("t.csv", table(ends=",").encode(), {}),
    "rows closed by several": ("t.csv", table(ends=",,,").encode(), {}),
    "closed rows below an open header": ("t.csv", table(ends=",", head="").encode(), {}),
    "open rows below a closed header": ("t.csv", table(ends="", head=",,").encode(), {}),
    "closed rows below other lines": (
        "t.csv", table(above="\n# x\n\n", ends=",", head="").encode(), {"skip": 2}),
    "closed rows, empty is no gap": ("t.csv", table(ends=",").encode(), {"missing": ["NA"]}),
    "closed rows without a header": (
        "t.csv", table(ends=",").encode(), {"skip": 1, "header": ["size", "colour", "kind"]}),
    "closed rows in UTF-16 and gzip": (
        "t.csv.gz", gzip.compress(table(ends=",", head="").encode("utf-16")), {}),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_the_same_table(case: str, read_data: ReadData, write: Write) -> None:
    """By training and, block by block, by `check --data`."""
    name, content, settings = READ[case]
    data = read_data(source="csv", path=write(name, content), target="kind", **settings)
    frame = data.source.load()["all"]
    assert list(frame.columns) == ["size", "colour", "kind"]
    assert frame["size"].tolist() == [float(row[0]) for row in ROWS]
    assert [*zip(frame["colour"], frame["kind"], strict=True)] == [row[1:] for row in ROWS]
    assert frame.rows.tolist() == list(range(1, 41))
    (told,) = validate(data, "classes")
    assert (told.rows, told.columns) == (40, 3)


SEMICOLONS = table(";").replace(".", ",")
CUT = gzip.compress(PLAIN)[:-20]
ODD = "\n".join(["size,colour,kind,", *("1,2,a," for _ in range(9)), "1,2,a,9", "1,2,b,", ""])
FAULTS: dict[str, tuple[bytes, dict[str, Any], list[str]]] = {
    "semicolons and decimal commas": (
        SEMICOLONS.encode(), {}, ['the delimiter seems to be ";": write `delimiter: ";"`']),
    "tabs": (table("\t").encode(), {}, ['write `delimiter: "\\t"`']),
    "tabs and commas inside": (table("\t").replace("blü", "b,l").encode(), {}, ['"\\t"`']),
    "comments": (
        table(above="# x\n# y\n").encode(), {},
        ["the header seems to stand in line 3: write `skip: 2`"]),
    "comments with a comma": (table(above="# x, y\n\n").encode(), {}, ["line 3: write `skip: 2`"]),
    "one more comment": (table(above="# x\n# y\n").encode(), {"skip": 1}, ["write `skip: 2`"]),
    "comments and tabs with commas inside": (
        table("\t", above="# x\n").replace("blü", "b,l").encode(), {},
        ['delimiter seems to be "\\t" and the header', 'write `delimiter: "\\t"` and `skip: 1`']),
    "nothing below": (PLAIN, {"skip": 99}, ["no line is left after `skip: 99`"]),
    "a value beyond": (ODD.encode(), {}, ["row 10 with a value beyond the last named column"]),
    "utf-16 without a mark": (table().encode("utf-16-le"), {}, ["write `encoding: utf-16-le`"]),
    "utf-16, the other one": (table().encode("utf-16-be"), {}, ["write `encoding: utf-16-be`"]),
    "no text": (bytes(range(256)) * 20, {}, ["not a text file"]),
    "cut gzip": (CUT, {}, ["not a readable CSV file: ", "runcated"]),
    "no such encoding": (PLAIN, {"encoding": "utf-99"}, ["`utf-99` is not a known `encoding`"]),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_what_is_said_of_another_form(case: str, read_data: ReadData, write: Write) -> None:
    """By training, which a prediction reads like, and by `check --data`."""
    content, settings, expected = FAULTS[case]
    data = read_data(source="csv", path=write("t.csv", content), target="kind", **settings)
    for look in (data.source.load, lambda: validate(data, "classes")):
        with pytest.raises(DataError) as caught:
            look()
        said = str(caught.value)
        assert [text for text in expected if text not in said] == [], said


@pytest.mark.parametrize(
    "content",
    [
        "1,2,3\n" * 2 + "1,2\n" + "1,2,3\n" * 30,  # one row that is short
        "a,b,c\n" + "r,1,2,3\n" * 30,  # names of rows, whose column has none
        "text\n" + "one, two\n" * 3 + "one\n" * 30,  # commas in texts
    ],
)
def test_no_better_form_is_invented(content: str, write: Write) -> None:
    """The control: these are ragged, and neither another delimiter nor another line helps."""
    with pytest.raises(DataError, match="add the missing values, or quote those"):
        Csv(write("t.csv", content)).read(write("t.csv", content))


def test_a_column_alone_is_no_wrong_delimiter(write: Write) -> None:
    frame = Csv("t.csv").read(write("t.csv", "tags\n" + "hot;new\n" * 20))
    assert frame["tags"].tolist() == ["hot;new"] * 20


def test_a_nameless_column_with_values_stays(write: Write) -> None:
    frame: Frame = Csv("t.csv").read(write("t.csv", "a,b,\n1,2,3\n4,5,6\n"))
    assert {name: frame[name].tolist() for name in frame.columns} == {
        "a": [1, 4], "b": [2, 5], "": [3, 6]}  # fmt: skip


def test_rounded_integers_are_told_of_closed_and_packed_rows(tmp_path: Path) -> None:
    """The second look at the file reads the same columns as the first."""
    rows = "".join(f"{2**53 + i},{i},\n" for i in range(9))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(f"id,x\n{rows}".encode()))
    source = Csv("t.csv.gz", types={"id": "number"})
    frame = source.read(str(tmp_path / "t.csv.gz"))
    assert "4 of 9 distinct whole numbers" in frame.notes["id"]
    assert frame["x"].tolist() == list(np.arange(9.0))


def test_a_wide_table_is_read_in_few_blocks(write: Write) -> None:
    """Arrow makes an array of each column of each block: 1 MB would hold but five of these rows."""
    values = [f"{i / 7:.12f}" for i in range(10_000)]
    rows = "".join(",".join(values) + "\n" for _ in range(60))
    source, path = Csv("t.csv", header=[f"c{i}" for i in range(10_000)]), write("t.csv", rows)
    with source.reader(path).open({}) as blocks:
        shapes = [(block.num_rows, block.num_columns) for block in blocks]
    assert len(shapes) <= 2 and {columns for _, columns in shapes} == {10_000}
    assert sum(rows for rows, _ in shapes) == 60


def test_the_extension_behind_the_packing() -> None:
    names = ["a/t.csv.gz", "t.CSV.BZ2", "t.json.zst", "t.parquet", "t.gz", "t"]
    assert [suffix(name) for name in names] == [".csv", ".csv", ".json", ".parquet", "", ""]


def test_a_wrong_header_alone_is_named(read_data: ReadData, write: Write) -> None:
    """The columns that the block names are missing only since another line was read as header."""
    path = write("t.csv", table(above="# by me\n# in cm\n"))
    for column in ("kind", "cind"):
        data = read_data(source="csv", path=path, target=column)
        with pytest.raises(DataError) as caught:
            validate(data, "classes")
        assert "`skip: 2`" in str(caught.value)
        assert "no column" not in str(caught.value)
    data = read_data(source="csv", path=path, target="cind", skip=2)
    with pytest.raises(DataError, match="no column `cind`"):
        validate(data, "classes")


@pytest.mark.parametrize("named", [False, True])
def test_new_rows_below_other_lines(read_data: ReadData, write: Write, named: bool) -> None:
    """New files are laid out as the training file: lines above, and names in place of a header."""
    above, names = "# by me\n# in cm\n", ["size", "colour", "kind"]
    whole = table(above=above)
    if named:
        whole = above + "".join(whole.splitlines(keepends=True)[3:])
    settings: dict[str, Any] = {"skip": 2} | ({"header": names} if named else {})
    data = read_data(source="csv", path=write("t.csv", whole), target="kind", **settings)
    made = prepare(data, "classes", 0)
    frame = new_rows(data, write("n.csv", whole), made.pipeline).frame
    assert (len(frame), frame["size"].tolist()) == (40, [float(row[0]) for row in ROWS])
    bare = write("m.csv", table())
    if not named:  # its first line has all the columns: there is nothing to skip
        assert len(new_rows(data, bare, made.pipeline).frame) == 40
        return
    with pytest.raises(DataError, match=r"is a row \(size, colour, kind\)"):
        new_rows(data, bare, made.pipeline)
