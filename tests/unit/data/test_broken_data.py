"""Broken data is answered by one sentence: file, row or column, count, first five, remedy."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from ftune.data.prepare import prepare
from ftune.data.schema import Data
from ftune.errors import ConfigError, DataError

ReadData = Callable[..., Data]

GOOD: list[tuple[str, ...]] = [(str(i), "xyz"[i % 3], "ab"[i % 2]) for i in range(60)]


def csv(rows: list[tuple[str, ...]] = GOOD, header: str = "age,city,y", sep: str = ",") -> bytes:
    return "\n".join([header.replace(",", sep), *(sep.join(row) for row in rows), ""]).encode()


def changed(column: int, values: dict[int, str]) -> list[tuple[str, ...]]:
    """GOOD with other values in one column; rows from 1."""
    rows = [list(row) for row in GOOD]
    for number, value in values.items():
        rows[number - 1][column] = value
    return [tuple(row) for row in rows]


def short(*numbers: int) -> list[tuple[str, ...]]:
    """GOOD with rows (from 1) that lack their last value."""
    return [row[:-1] if i in numbers else row for i, row in enumerate(GOOD, 1)]


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npz_that_lies() -> bytes:
    """An array of 3 numbers whose header says a thousand million."""
    array, file = io.BytesIO(), io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**9,)}
    np.lib.format.write_array_header_1_0(array, header)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", array.getvalue() + bytes(24))
    return file.getvalue()


def parquet_bytes(**columns: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


X, Y = np.arange(20.0), np.arange(20) % 2
LATIN = csv(changed(1, {7: "é", 8: "ü"})).decode().encode("latin-1")
SIX_GAPS = changed(2, dict.fromkeys([3, 9, 11, 20, 30, 31], ""))

CASES: dict[str, tuple[str, bytes | None, dict[str, Any], list[str]]] = {
    "missing target": ("t.csv", csv(), {"target": "yy"},
        ["no column `yy`", "did you mean `y`", "age, city"]),
    "missing group": ("t.csv", csv(), {"split": {"group": "cty"}},
        ["split.group", "did you mean `city`"]),
    "missing time": ("t.csv", csv(), {"split": {"time": "when"}},
        ["split.time", "no column `when`"]),
    "constant time": (
        "t.csv", csv([("1", *r[1:]) for r in GOOD]), {"split": {"time": "age"}},
        ["gives no order"]),
    "missing file": ("t.csv", None, {"path": "/nowhere/t.csv"}, ["no such file"]),
    "empty file": ("t.csv", b"", {}, ["is empty"]),
    "header only": ("t.csv", csv([]), {}, ["header (age, city, y)", "no rows"]),
    "blank file": ("t.csv", b"\n\n", {}, ["t.csv"]),
    "ragged row": ("t.csv", csv(short(4)), {}, ["row 4", "3 columns", "3,x"]),
    "ragged rows": (
        "t.csv", csv(short(2, 5, 8, 9, 10, 50)), {}, ["6 rows (2, 5, 8, 9, 10, …)", "quote"]),
    "not utf-8": ("t.csv", LATIN, {}, ["`city`, 2 rows (7, 8)", "not UTF-8", "encoding"]),
    "header not utf-8": (
        "t.csv", csv(header="é,city,y").decode().encode("latin-1"), {}, ["encoding"]),
    "unknown encoding": ("t.csv", csv(), {"encoding": "utf-99"}, ["`utf-99`"]),
    "wrong delimiter": ("t.csv", csv(sep=";"), {}, ["one column", 'delimiter: ";"']),
    "tabs": ("t.csv", csv(sep="\t"), {}, ['delimiter: "\\t"']),
    "doubled name": ("t.csv", csv(header="age,age,y"), {}, ["`age` names more than one column"]),
    "mixed types": (
        "t.csv", csv(changed(0, {12: "old", 40: "1o"})), {},
        ["`age`", "96.7% numbers", "2 values", "row 12: 'old', row 40: '1o'", "missing", "text"]),
    "not a number": (
        "t.csv", csv(changed(0, {12: "old"})), {"types": {"age": "number"}},
        ["`age` holds 'old' in row 12", "missing"]),
    "types of no column": ("t.csv", csv(), {"types": {"agee": "text"}}, ["`agee`", "`age`"]),
    "empty targets": (
        "t.csv", csv(SIX_GAPS), {}, ["target `y`", "6 rows (3, 9, 11, 20, 30, …)", "delete"]),
    "one class": ("t.csv", csv([(*r[:2], "a") for r in GOOD]), {}, ["only one class, `a`"]),
    "class that no row has": ("t.csv", csv(), {"classes": ["a", "c"]}, ["`c`", "has: `a`, `b`"]),
    "no rows after the split": (
        "t.csv", csv(GOOD[:2]), {"split": {"val": 1, "test": 1}}, ["2 rows", "none are left"]),
    "class too small": (
        "t.csv", csv(changed(2, {7: "c"})), {"split": {"stratify": True}}, ["`c` has only 1 row"]),
    "per_class too large": ("t.csv", csv(), {"per_class": 500}, ["per_class 500", "21 rows"]),
    "infinite": ("t.csv", csv(changed(0, {5: "inf"})), {"split": {"test": 0, "val": 0}},
        ["`age`: infinite values in row 5", "missing: [inf"]),
    "infinite at the end": (
        "t.csv", csv(changed(0, {5: "-inf"})),
        {"split": {"test": 0, "val": 0}, "transforms": [{"select": ["age"]}]},
        ["`age`: infinite values in row 5"]),
    "column without values": (
        "t.csv", csv([("", *r[1:]) for r in GOOD]), {"transforms": ["impute", "one_hot"]},
        ["`age` has no known value", "drop: [age]"]),
    "parquet as csv": ("t.csv", parquet_bytes(x=X, y=Y), {}, ["not a text file", "`source`"]),
    "corrupt parquet": ("t.parquet", parquet_bytes(x=X, y=Y)[:-20], {}, ["not a readable Parquet"]),
    "damaged parquet": (
        "t.parquet", parquet_bytes(x=X, y=Y)[:8] + b"\0" * 300, {}, ["not a readable Parquet"]),
    "bad json line": (
        "t.jsonl", b'{"x": 1, "y": 0}\n{"x": 2, "y": 1\n{"x": 3, "y": 1}\nno\n', {},
        ["2 rows (2, 4)", "not a JSON object"]),
    "json of several types": (
        "t.jsonl", b'{"x": 1, "y": 0}\n{"x": "a", "y": 1}\n', {},
        ["`x`", "number in row 1", "text in row 2"]),
    "corrupt npz": ("t.npz", npz(x=X, y=Y)[:200], {}, ["not a readable npz"]),
    "not an npz": ("t.npz", b"hello", {}, ["not a readable npz"]),
    "npz of different lengths": ("t.npz", npz(x=X, y=Y[:5]), {}, ["x 20, y 5"]),
    "npz with pickles": (
        "t.npz", npz(x=np.array([{}, 1], dtype=object), y=Y), {}, ["`x` holds pickled", "refused"]),
    "npz that claims too much": ("t.npz", npz_that_lies(), {}, ["`x` claims (1000000000,)"]),
    "npz without rows": ("t.npz", npz(x=X[:0], y=Y[:0]), {}, ["no rows"]),
    "images beside columns": (
        "t.npz", npz(i=np.zeros((20, 4, 4)), x=X, y=Y), {}, ["`i` [4, 4]", "flatten"]),
}  # fmt: skip
SOURCE = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".npz": "npz"}


@pytest.mark.parametrize("case", CASES)
def test_broken(case: str, read_data: ReadData, write: Callable[[str, str | bytes], str]) -> None:
    name, content, settings, expected = CASES[case]
    path = write(name, content or b"")
    source = SOURCE[Path(name).suffix]
    data = read_data(**({"source": source, "path": path, "target": "y"} | settings))
    with pytest.raises(DataError) as caught:
        prepare(data, "classes", 0)
    message = str(caught.value)
    assert [text for text in expected if text not in message] == [], message
    assert "\n" not in message and len(message) < 500


def test_the_good_table_is_accepted(
    read_data: ReadData, write: Callable[[str, str | bytes], str]
) -> None:
    """The control: the table that the cases break is not refused."""
    data = read_data(source="csv", path=write("t.csv", csv()), target="y")
    assert len(prepare(data, "classes", 0).train) == 42


TWO_FILES: dict[str, tuple[bytes, list[str]]] = {
    "other columns": (csv(header="age,town,y"), ["lacks `city`", "`town` instead"]),
    "no target": (csv([r[:2] for r in GOOD], "age,city"), ["lacks `y`"]),
    "unknown label": (
        csv([(*r[:2], "c") for r in GOOD]),
        ["unknown class `c`", "60 rows (1, 2, 3, 4, 5, …)", "`a`, `b`"],
    ),
    "text for numbers": (
        csv([("old", *r[1:]) for r in GOOD]),
        ["column `age` holds 'old' in 60 rows (1, 2,", "the training data says"],
    ),
    "empty": (b"", ["is empty"]),
}


@pytest.mark.parametrize("case", TWO_FILES)
def test_broken_test_file(
    case: str, read_data: ReadData, write: Callable[[str, str | bytes], str]
) -> None:
    content, expected = TWO_FILES[case]
    files = {"train": write("train.csv", csv()), "test": write("test.csv", content)}
    with pytest.raises(DataError) as caught:
        prepare(read_data(source="csv", path=files, target="y"), "classes", 0)
    assert [t for t in ["test.csv", *expected] if t not in str(caught.value)] == [], caught.value


NUMBERS: dict[str, tuple[list[tuple[str, ...]], dict[str, Any], list[str]]] = {
    "text target": (GOOD, {"target": "city"}, ["`city` holds texts", "classification"]),
    "nan target": (changed(0, {4: "nan"}), {"target": "age"}, ["missing in row 4"]),
    "infinite target": (changed(0, {4: "inf"}), {"target": "age"}, ["infinite values in row 4"]),
    "stratified": (GOOD, {"target": "age", "split": {"stratify": True}}, ["only classes"]),
    "classes": (GOOD, {"target": "age", "classes": ["1"]}, ["data.classes", "numbers"]),
    "per_class": (GOOD, {"target": "age", "per_class": 3}, ["data.per_class", "numbers"]),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_broken_regression(
    case: str, read_data: ReadData, write: Callable[[str, str | bytes], str]
) -> None:
    rows, settings, expected = NUMBERS[case]
    data = read_data(source="csv", path=write("t.csv", csv(rows)), **settings)
    with pytest.raises(DataError) as caught:
        prepare(data, "numbers", 0)
    assert [text for text in expected if text not in str(caught.value)] == [], caught.value


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": {"val": "a.csv"}, "target": "y"}, "`train` is missing"),
        ({"path": {"train": "a.csv", "dev": "b.csv"}, "target": "y"}, "`dev` is not a part"),
        ({"path": "a.csv", "target": []}, "names no column"),
        ({"path": "a.csv", "target": "y", "delimiter": ";;"}, "one character"),
        ({"path": "a.csv", "target": "y", "types": {"a": "int"}}, "one of number, text, date"),
        ({"path": "a.csv", "target": "y", "target_transforms": ["one_hot"]}, "cannot be undone"),
        ({"path": "a.csv", "target": "y", "transforms": ["clip"]}, "needs a `quantile`"),
        ({"path": "a.csv", "target": "y", "transforms": ["scale"]}, "either `by` or `range`"),
        ({"path": "a.csv", "target": "y", "transforms": ["standardise"]}, "`standardize`"),
        ({"path": "a.csv", "target": "y", "transforms": [{"resize": [1, 2, 3]}]}, "one number"),
    ],
)
def test_refused_before_any_file_is_read(
    settings: dict[str, Any], message: str, read_data: ReadData
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_data(source="csv", **settings)
