"""Columns that cannot be meant, and targets of which nothing can be learnt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from ftune.data.new_rows import new_rows
from ftune.data.prepare import prepare
from ftune.data.validation.validate import validate
from ftune.errors import DataError

ReadData = Callable[..., Any]
Write = Callable[[str, str], str]


def table(header: str, rows: int, row: Callable[[int], str]) -> str:
    return "\n".join([header, *(row(i) for i in range(rows)), ""])


def refused(data: Any, kind: Any) -> str:
    """What training says, which is what check says."""
    said = []
    for look in (lambda: prepare(data, kind, 0), lambda: validate(data, kind)):
        with pytest.raises(DataError) as caught:
            look()
        said.append(str(caught.value))
    assert said[0] == said[1]
    return said[0]


@pytest.mark.parametrize(
    ("name", "spoken"),
    [("", "without a name"), ("Unnamed: 0", "`Unnamed: 0`"), ("Unnamed: 0.1", "`Unnamed: 0.1`"),
     ("__index_level_0__", "`__index_level_0__`")],
)  # fmt: skip
def test_an_index_is_left_out_and_told(
    name: str, spoken: str, read_data: ReadData, write: Write
) -> None:
    path = write("t.csv", table(f"{name},x,y", 40, lambda i: f"{i},{i % 7},{'ab'[i > 19]}"))
    data = read_data(source="csv", path=path, target="y")
    made = prepare(data, "classes", 0)
    assert made.pipeline.features.names == ("x",)
    assert any("left out" in note and spoken in note for note in made.notes)
    new = new_rows(data, write("n.csv", "x\n1\n"), made.pipeline).frame
    assert len(made.pipeline.inputs(new)) == 1


@pytest.mark.parametrize("name", ["Unnamed", "Unnamed: x", "index", "id", "_"])
def test_a_column_with_a_name_stays(name: str, read_data: ReadData, write: Write) -> None:
    path = write("t.csv", table(f"{name},x,y", 40, lambda i: f"{i},{i % 7},{'ab'[i % 2]}"))
    made = prepare(read_data(source="csv", path=path, target="y"), "classes", 0)
    assert made.pipeline.features.names == (name, "x")


def test_one_that_is_asked_for_stays(read_data: ReadData, write: Write) -> None:
    path = write("t.csv", table("Unnamed: 0,x,y", 40, lambda i: f"{i},{i % 7},{'ab'[i % 2]}"))
    data = read_data(source="csv", path=path, target="y", transforms=[{"select": ["Unnamed: 0"]}])
    assert prepare(data, "classes", 0).pipeline.features.names == ("Unnamed: 0",)
    timed = read_data(source="csv", path=path, target="y", split={"time": "Unnamed: 0"})
    made = prepare(timed, "classes", 0)
    assert made.test is not None and made.test.rows.min() == 33
    typed = read_data(source="csv", path=path, target="y", types={"Unnamed: 0": "number"})
    assert prepare(typed, "classes", 0).pipeline.features.names == ("Unnamed: 0", "x")


def test_a_delimiter_at_the_end_of_each_line(read_data: ReadData, write: Write) -> None:
    path = write("t.csv", table("x,y,,", 40, lambda i: f"{i % 7},{'ab'[i % 2]},,"))
    made = prepare(read_data(source="csv", path=path, target="y"), "classes", 0)
    assert made.pipeline.features.names == ("x",)


def test_a_saved_index_of_parquet(read_data: ReadData, tmp_path: Path) -> None:
    columns = {"x": np.arange(40) % 7, "y": ["a", "b"] * 20, "__index_level_0__": np.arange(40)}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    data = read_data(source="parquet", path=str(tmp_path / "t.parquet"), target="y")
    made = prepare(data, "classes", 0)
    assert made.pipeline.features.names == ("x",)
    assert any("`__index_level_0__`" in note for note in made.notes)


def test_a_model_that_knows_it_keeps_it(read_data: ReadData, write: Write) -> None:
    path = write("t.csv", table("Unnamed: 0,x,y", 40, lambda i: f"{i},{i % 7},{'ab'[i % 2]}"))
    old = read_data(source="csv", path=path, target="y", types={"Unnamed: 0": "number"})
    pipeline = prepare(old, "classes", 0).pipeline
    again = prepare(read_data(source="csv", path=path, target="y"), "classes", 0, fitted=pipeline)
    assert again.pipeline.features.names == ("Unnamed: 0", "x")


def gaps(write: Write, name: str = "t.csv", word: str = "") -> str:
    return write(
        name, table("x,y", 40, lambda i: f"{i % 7},{word if i % 10 == 3 else 'ab'[i % 2]}")
    )


def test_rows_without_a_target(read_data: ReadData, write: Write) -> None:
    path = gaps(write)
    said = refused(read_data(source="csv", path=path, target="y"), "classes")
    assert "4 rows (4, 14, 24, 34)" in said and "`data.drop_missing_target: true`" in said
    data = read_data(source="csv", path=path, target="y", drop_missing_target=True)
    made = prepare(data, "classes", 0)
    rows = sorted(row for part in made.splits.values() for row in part.rows.tolist())
    assert rows == [row for row in range(1, 41) if row % 10 != 4]
    assert any("4 rows (4, 14, 24, 34)" in note and "left out" in note for note in made.notes)
    assert validate(data, "classes")[0].rows == 40
    assert len(new_rows(data, path, made.pipeline, judged=True).frame) == 36
    assert len(new_rows(data, path, made.pipeline).frame) == 40


def test_numbers_without_a_target(read_data: ReadData, write: Write) -> None:
    path = write("t.csv", table("x,y", 40, lambda i: f"{i % 7},{'' if i == 5 else i}"))
    data = read_data(source="csv", path=path, target="y", drop_missing_target=True)
    made = prepare(data, "numbers", 0)
    assert sum(len(part) for part in made.splits.values()) == 39


def test_no_target_at_all(read_data: ReadData, write: Write) -> None:
    path = write("t.csv", table("x,y", 40, lambda i: f"{i % 7},"))
    data = read_data(source="csv", path=path, target="y", drop_missing_target=True)
    assert "leaves no rows" in refused(data, "classes")


@pytest.mark.parametrize("word", ["NA", "null", "?"])
def test_a_class_that_missing_lists(word: str, read_data: ReadData, write: Write) -> None:
    path = gaps(write, word=word)
    said = refused(read_data(source="csv", path=path, target="y"), "classes")
    assert f"`missing` lists `{word}` (4 rows)" in said and '`missing: [""]`' in said
    data = read_data(source="csv", path=path, target="y", missing=[""])
    assert word in prepare(data, "classes", 0).pipeline.target.classes
    dropped = read_data(source="csv", path=path, target="y", drop_missing_target=True)
    assert any(f"`{word}` (4 rows)" in note for note in prepare(dropped, "classes", 0).notes)


def test_gaps_are_no_class(read_data: ReadData, write: Write) -> None:
    said = refused(read_data(source="csv", path=gaps(write), target="y"), "classes")
    assert "`missing` lists" not in said


def test_amounts_are_no_classes(read_data: ReadData, write: Write) -> None:
    path = write("t.csv", table("x,y", 90, lambda i: f"{i % 7},{(i % 80) + 0.25}"))
    data = read_data(source="csv", path=path, target="y")
    said = refused(data, "classes")
    assert "80 different numbers with fractions" in said and "`task: regression`" in said
    assert "`types: {y: text}`" in said
    meant = read_data(source="csv", path=path, target="y", types={"y": "text"})
    assert len(prepare(meant, "classes", 0).pipeline.target.classes) == 80
    assert prepare(data, "numbers", 0).pipeline.target.kind == "numbers"


@pytest.mark.parametrize(
    "value",
    [lambda i: i % 45, lambda i: (i % 8) / 2, lambda i: f"v{i % 45}.5", lambda i: f"{i % 20}.0"],
)
def test_classes_that_look_a_little_like_amounts(
    value: Callable[[int], object], read_data: ReadData, write: Write
) -> None:
    path = write("t.csv", table("x,y", 90, lambda i: f"{i % 7},{value(i)}"))
    made = prepare(read_data(source="csv", path=path, target="y"), "classes", 0)
    assert len(made.pipeline.target.classes) > 1


def test_a_constant_target(read_data: ReadData, write: Write) -> None:
    path = write("t.csv", table("x,y", 40, lambda i: f"{i % 7},{'5' if i % 2 else '5.0'}"))
    said = refused(read_data(source="csv", path=path, target="y"), "numbers")
    assert "is 5 in all 40 rows" in said
    good = write("g.csv", table("x,y", 40, lambda i: f"{i % 7},{5 + (i == 3)}"))
    assert prepare(read_data(source="csv", path=good, target="y"), "numbers", 0).train


def test_the_remedy_of_a_target_names_its_notation(read_data: ReadData, write: Write) -> None:
    path = write("t.csv", table("x;y", 40, lambda i: f"{i % 7};{i + 1},250"))
    data = read_data(source="csv", path=path, target="y", delimiter=";")
    said = refused(data, "numbers")
    assert '`thousands: ","` (1250)' in said and '`decimal: ","` (1.25)' in said
