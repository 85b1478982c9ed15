"""Values that differ only in how they are written are one value, in training and after it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ftune.data.lineage import Step
from ftune.data.new_rows import new_rows
from ftune.data.prepare import prepare
from ftune.data.spellings import merged, places
from ftune.data.transforms.columns import DropConstant, Rename
from ftune.data.validation.validate import validate

ReadData = Callable[..., Any]
Write = Callable[[str, str], str]
SMALL, COMPOSED = "ko\u0308ln", unicodedata.normalize("NFC", "ko\u0308ln")


def found(values: list[str], known: list[str], numbers: bool = False) -> list[int]:
    column = np.array(values, dtype=object)
    return [int(i) for i in places(column, known, numbers)]


@pytest.mark.parametrize(
    ("values", "known"),
    [
        (["red ", " red", "red\u00a0"], ["red"]),
        (["New York", "New\u00a0York", "New  York"], ["New York"]),
        ([SMALL, COMPOSED], [COMPOSED]),
        (["TRUE", "True", "true", "1", "1.0"], ["true", "false"]),
        (["red"], ["red "]),
    ],
)
def test_one_value(values: list[str], known: list[str]) -> None:
    assert found(values, known) == [0] * len(values)


@pytest.mark.parametrize(
    ("values", "known"),
    [
        (["Red", "re d", "reed", ""], ["red"]),
        (["1", "TRUE", "yes"], ["true", "maybe"]),
        (["2", "yes"], ["true", "false"]),
        (["1.0", "01"], ["1", "2"]),
        (["koln"], [COMPOSED]),
    ],
)
def test_other_values(values: list[str], known: list[str]) -> None:
    assert found(values, known) == [-1] * len(values)


def test_numbers_are_alike_only_among_numbers() -> None:
    assert found(["1.0", "2", "1e0"], ["1", "2"], numbers=True) == [0, 1, 0]
    assert found(["1", "2"], ["01", "2"], numbers=True) == [-1, 1]
    assert found(["1.0"], ["1", "a"], numbers=True) == [-1]


def test_a_missing_value_is_in_no_place() -> None:
    assert [int(i) for i in places(np.array([None, "a"], dtype=object), ["a"])] == [-1, 0]


def test_the_most_frequent_spelling_stands_for_all() -> None:
    assert merged({"True": 5, "TRUE": 2, "False": 4}) == {"TRUE": "True"}
    assert merged({"a": 1, "a ": 9}) == {"a ": "a"}
    assert merged({"a": 1, "b": 9}) == {}
    assert merged({"1.0": 3, "1": 2}, numbers=True) == {"1": "1.0"}
    assert merged({"1": 3}, ["1.0", "2"], numbers=True) == {"1.0": "1"}
    assert merged({"1": 3, "2": 3}, known=("1.0", "2.0"), numbers=True) == {"1": "1.0", "2": "2.0"}
    assert merged({"True": 5, "False": 4}, ["1", "0"]) == {"1": "True", "0": "False"}


@pytest.mark.parametrize("source", ["csv", "jsonl"])
def test_a_table_of_many_spellings(read_data: ReadData, write: Write, source: str) -> None:
    spellings = [("red", "a"), ("red ", "a "), ("blue", "b"), ("blue\u00a0", "b")] * 12
    if source == "csv":
        text = "\n".join(
            ["x,colour,y", *(f"{i},{c},{y}" for i, (c, y) in enumerate(spellings)), ""]
        )
    else:
        text = "".join(
            f'{{"x": {i}, "colour": "{c}", "y": "{y}"}}\n' for i, (c, y) in enumerate(spellings)
        )
    data = read_data(source=source, path=write(f"t.{source}", text), target="y")
    made = prepare(data, "classes", 0)
    assert made.pipeline.target.classes == ("a", "b")
    names = made.pipeline.features.names
    assert names is not None and set(names) == {"x", "colour=red", "colour=blue"}
    assert any(
        "column `colour`: 24 values" in note and "'red ' as 'red'" in note for note in made.notes
    )
    assert any("column `y`: 12 values" in note for note in made.notes)
    assert validate(data, "classes")[0].rows == 48


def test_one_class_in_two_spellings_is_one_class(read_data: ReadData, write: Write) -> None:
    path = write("t.csv", "\n".join(["x,y", *(f"{i},{['a', 'a '][i % 2]}" for i in range(20)), ""]))
    data = read_data(source="csv", path=path, target="y")
    for look in (lambda: prepare(data, "classes", 0), lambda: validate(data, "classes")):
        with pytest.raises(Exception, match="only one class, `a`"):
            look()


def test_new_rows_in_other_spellings(read_data: ReadData, write: Write) -> None:
    rows = [f"{i},{['true', 'false'][i % 2]},{['True', 'False'][i % 2]}" for i in range(40)]
    data = read_data(
        source="csv", path=write("t.csv", "\n".join(["x,ok,y", *rows, ""])), target="y"
    )
    pipeline = prepare(data, "classes", 0).pipeline

    whole = None
    for spelling in (["true", "false"], ["TRUE", "FALSE"], ["True", "False"], ["1", "0"]):
        text = "\n".join(["x,ok,y", *(f"1,{value},{value}" for value in spelling), ""])
        frame = new_rows(data, write("n.csv", text), pipeline).frame
        places_of = [pipeline.target.classes.index(name) for name in ("True", "False")]
        targets = pipeline.targets(frame)
        assert targets is not None and targets.tolist() == places_of
        inputs = pipeline.inputs(frame).take(torch.arange(2))["x"]
        whole = inputs if whole is None else whole
        assert torch.equal(inputs, whole) and not torch.equal(inputs[0], inputs[1])


def test_names_of_columns_in_other_spellings(read_data: ReadData, write: Write) -> None:
    rows = [f" {i}, {i % 3}, {'ab'[i % 2]}" for i in range(40)]
    head = f"{SMALL}, 0wide,\u00a0y"
    path = write("t.csv", "\n".join([head, *rows, ""]))
    data = read_data(source="csv", path=path, target="y", types={"0wide": "text"})
    made = prepare(data, "classes", 0)
    assert made.pipeline.target.classes == ("a", "b")
    assert made.pipeline.columns == {COMPOSED: "number", "0wide": "text"}
    assert validate(data, "classes")[0].columns == 3
    for name in (SMALL, COMPOSED, f" {COMPOSED}"):
        new = new_rows(data, write("n.csv", f"{name},0wide\n1,2\n"), made.pipeline).frame
        assert len(made.pipeline.inputs(new)) == 1
        line = f'{{"{name}": 1, "0wide": "2"}}\n'
        new = new_rows(data, write("n.jsonl", line), made.pipeline).frame
        assert len(made.pipeline.inputs(new)) == 1


def test_a_model_that_knows_a_name_with_spaces(read_data: ReadData, write: Write) -> None:
    """Version 0.1 kept the names as they stood in the file."""
    text = "\n".join([" x,y", *(f"{i},{'ab'[i % 2]}" for i in range(40)), ""])
    data = read_data(source="csv", path=write("t.csv", text), target="y")
    pipeline: Any = prepare(data, "classes", 0).pipeline
    state = pipeline.steps[0].state
    old = replace(pipeline, columns={" x": "number"}, steps=(
        Step(DropConstant(), {" x": state["x"]}), Step(Rename({" x": "x"}), {" x": {"new": "x"}}),
        *pipeline.steps[1:]))  # fmt: skip
    new = new_rows(data, write("n.csv", " x\n1\n"), old).frame
    assert len(old.inputs(new)) == 1


def test_two_names_that_differ_in_spaces_alone_stay(read_data: ReadData, write: Write) -> None:
    text = "\n".join(["x,x ,y", *(f"{i},{i % 7},{'ab'[i % 2]}" for i in range(40)), ""])
    made = prepare(read_data(source="csv", path=write("t.csv", text), target="y"), "classes", 0)
    assert made.pipeline.features.names == ("x", "x ")
