"""Digits that are names are read as text, and all other digits as numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ftune.data.frame import Frame
from ftune.data.new_rows import new_rows
from ftune.data.prepare import prepare
from ftune.errors import DataError

ReadData = Callable[..., Any]
Write = Callable[[str, str], str]
Read = Callable[..., Frame]


def table(values: list[str], name: str = "c") -> str:
    rows = [f"{value},{'ab'[i % 2]}" for i, value in enumerate(values)]
    return "\n".join([f"{name},y", *rows, ""])


@pytest.fixture
def read(read_data: ReadData, write: Write) -> Read:
    def make(values: list[str], **settings: Any) -> Frame:
        path = write("t.csv", table(values))
        frame: Frame = read_data(source="csv", path=path, target="y", **settings).source.read(path)
        return frame

    return make


LATE = [str(10_000 + i % 90_000) for i in range(400_000)]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (["01234", "99999"], "leading zeros at one width (`01234`)"),
        (["1234", "", "0123"], "leading zeros at one width (`0123`)"),
        ([*LATE, "01067"], "leading zeros at one width (`01067`)"),
        (["1234567890123456", "5"], "more than 15 digits (`1234567890123456`)"),
        (["12345678901234567890001"] * 2, "more than 15 digits"),
        (["1e5", "2e3", "1E4"], "a digit, `e` and a digit (`1e5`)"),
    ],
)
def test_names_are_text_as_they_are_written(read: Read, values: list[str], why: str) -> None:
    frame = read(values)
    assert frame["c"].tolist() == [value or None for value in values]
    assert why in frame.notes["c"] and "`types: {c: number}`" in frame.notes["c"]
    assert read(values, types={"c": "number"}).kind("c") == "number"


@pytest.mark.parametrize(
    "values",
    [
        ["012", "099"], ["01234", "123"], ["-0123", "-0124"], ["2020", "2021"], ["0", "1"],
        ["123456789012345", "5"], ["1e5", "2e10"], ["1.5e3", "2e3"], ["1e+5", "2e3"], ["1e-3"],
        ["1e30", "2"], ["0.1234567890123456789"], ["1234567890123456.5"], ["0.001", "0.002"],
    ],
)  # fmt: skip
def test_all_other_digits_are_numbers(read: Read, values: list[str]) -> None:
    frame = read(values)
    assert frame["c"].tolist() == [float(value) for value in values]


def test_class_names_come_back_as_written(read_data: ReadData, write: Write) -> None:
    for names in (["01", "02"], ["1e5", "2e5"], ["0.0", "1.0"], ["007", "7"], ["True", "False"]):
        rows = [f"{i},{names[i % 2]}" for i in range(40)]
        path = write("t.csv", "\n".join(["x,y", *rows, ""]))
        made = prepare(read_data(source="csv", path=path, target="y"), "classes", 0)
        assert sorted(made.pipeline.target.classes) == sorted(names)


def test_classes_are_found_however_they_are_written(read_data: ReadData, write: Write) -> None:
    def file(name: str, names: str) -> str:
        rows = [f"{i},{names.split()[i % 2]}" for i in range(40)]
        return write(name, "\n".join(["x,y", *rows, ""]))

    paths = {"train": file("a.csv", "0.0 1.0"), "val": file("b.csv", "0 1")}
    data = read_data(source="csv", path=paths, target="y", split={"test": 0})
    made = prepare(data, "classes", 0)
    assert made.pipeline.target.classes == ("0.0", "1.0")
    assert made.val is not None and made.val.y is not None
    assert made.val.y.tolist() == [0, 1] * 20
    assert any("'0' as '0.0'" in note for note in made.notes)
    chosen = read_data(source="csv", path=paths, target="y", classes=[1, 0])
    assert prepare(chosen, "classes", 0).pipeline.target.classes == ("1.0", "0.0")
    with pytest.raises(DataError, match="unknown class `2`"):
        wrong = read_data(
            source="csv", path={**paths, "val": file("c.csv", "0 2")}, target="y",
            split={"test": 0},
        )  # fmt: skip
        prepare(wrong, "classes", 0)


def test_new_rows_are_read_as_those_of_training(read_data: ReadData, write: Write) -> None:
    """A file of few rows says little of its columns: codes stay codes, numbers numbers."""
    rows = [f"{'01234' if i % 2 else '12345'},{1000 + i % 7},{'ab'[i % 2]}" for i in range(40)]
    data = read_data(
        source="csv", path=write("t.csv", "\n".join(["zip,n,y", *rows, ""])), target="y"
    )
    made = prepare(data, "classes", 0)
    new = new_rows(data, write("new.csv", "zip,n\n12345,0012\n12345,0013\n"), made.pipeline).frame
    assert new["zip"].tolist() == ["12345"] * 2
    assert new["n"].tolist() == [12.0, 13.0]
    with pytest.raises(DataError, match="column `n` holds 'ten' in row 2"):
        new_rows(data, write("bad.csv", "zip,n\n12345,9\n12345,ten\n"), made.pipeline)


def test_a_base_says_what_a_column_is(read_data: ReadData, write: Write) -> None:
    head = "zip,n,y"
    old = [f"0{1234 + i % 2},{i % 5},{'ab'[i % 2]}" for i in range(40)]
    new = [f"{12345 + i % 2},{1000 + i % 5:05},{'ab'[i % 2]}" for i in range(40)]
    base = prepare(
        read_data(source="csv", path=write("o.csv", "\n".join([head, *old, ""])), target="y"),
        "classes", 0,
    )  # fmt: skip
    data = read_data(source="csv", path=write("n.csv", "\n".join([head, *new, ""])), target="y")
    tuned = prepare(data, "classes", 0, base.pipeline)
    assert tuned.pipeline.columns == {"zip": "text", "n": "number"}
    alone = prepare(data, "classes", 0)  # the control: without the base they are the other kinds
    assert alone.pipeline.columns == {"zip": "number", "n": "text"}


def test_time_and_targets_are_numbers_however_long(read_data: ReadData, write: Write) -> None:
    rows = [f"{1700000000123456789 + 10**9 * i},{i % 3},{10**16 + i * 1024}" for i in range(40)]
    path = write("t.csv", "\n".join(["at,x,y", *rows, ""]))
    data = read_data(source="csv", path=path, target="y", split={"time": "at"})
    made = prepare(data, "numbers", 0)
    assert made.test is not None and made.test.rows.min() > 30


def test_unused_columns_of_a_second_file_may_differ(read_data: ReadData, write: Write) -> None:
    paths = {
        "train": write("a.csv", "x,e,y\n1,,a\n2,,b\n3,,a\n4,,b\n"),
        "val": write("b.csv", "x,e,y\n1,seen,a\n2,,b\n"),
    }
    made = prepare(read_data(source="csv", path=paths, target="y"), "classes", 0)
    assert made.val is not None and len(made.val) == 2
