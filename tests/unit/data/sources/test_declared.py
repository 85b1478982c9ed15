"""Texts in files that state their types: read as `types` and the notation say, else named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from ftune.data.frame import Frame
from ftune.data.reading import load
from ftune.data.validation.validate import validate
from ftune.errors import ConfigError, DataError

ReadData = Callable[..., Any]
Read = Callable[..., Frame]


@pytest.fixture(params=["jsonl", "parquet"])
def read(request: pytest.FixtureRequest, read_data: ReadData, tmp_path: Path) -> Read:
    """`read(values, **settings)` -> a table of the column `c` with these values beside `y`."""

    def of(values: list[Any], **settings: Any) -> Frame:
        rows = [{"c": value, "y": "ab"[i % 2]} for i, value in enumerate(values)]
        path = tmp_path / f"t.{request.param}"
        if request.param == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        else:
            parquet.write_table(pa.Table.from_pylist(rows), path)
        data = read_data(source=request.param, path=str(path), target="y", **settings)
        faults = ""
        try:
            validate(data, "classes")
        except DataError as error:
            faults = str(error)
        try:
            frame: Frame = load(data, "classes")["all"]
        except DataError as error:
            assert str(error) == faults, "check --data says what training says"
            raise
        assert not faults
        return frame

    return of


READ: list[tuple[list[Any], dict[str, Any], list[Any]]] = [
    (["9,25", "-3,5"], {"decimal": ","}, [9.25, -3.5]),
    (["1,234.5", "2"], {"thousands": ","}, [1234.5, 2]),
    (["12%", None], {"types": {"c": {"number": "%"}}}, [12, np.nan]),
    (["12", "13"], {"types": {"c": "number"}}, [12, 13]),
    (["31/12/2023", "1/2/2024"], {"types": {"c": {"date": "%d/%m/%Y"}}},
     [np.datetime64("2023-12-31"), np.datetime64("2024-02-01")]),
    (["2024-01-02 10:30", "2024-01-02T03:04:05.5+02:00", " 2024-07-01 "],
     {"types": {"c": "date"}},
     [np.datetime64("2024-01-02T10:30"), np.datetime64("2024-01-02T01:04:05"),
      np.datetime64("2024-07-01")]),
    ([1, 20], {"types": {"c": "text"}}, ["1", "20"]),
    ([True, False], {"types": {"c": "text"}}, ["true", "false"]),
    (["12", "13"], {}, ["12", "13"]),
    (["12", "13"], {"thousands": ","}, ["12", "13"]),
    (["12", "13", "x"], {}, ["12", "13", "x"]),
    ([*["12"] * 39, "x"], {}, [*["12"] * 39, "x"]),
]  # fmt: skip


@pytest.mark.parametrize(("values", "settings", "expected"), READ)
def test_what_a_column_becomes(
    read: Read, values: list[Any], settings: dict[str, Any], expected: list[Any]
) -> None:
    column = read(values, **settings)["c"]
    if isinstance(expected[0], str):
        assert column.tolist() == expected
    else:
        np.testing.assert_array_equal(column, np.array(expected))


@pytest.mark.parametrize(
    ("values", "settings", "words"),
    [
        (["9,25", "3,5"], {}, '`decimal: ","` (9.25)'),
        (["1,234", "10,160"], {}, '`thousands: ","` (1234) or by `decimal: ","` (1.234)'),
        (["31/12/2023", "1/2/2024"], {}, '`types: {c: {date: "%d/%m/%Y"}}` (2023-12-31)'),
        (["12%", "13%"], {}, '`types: {c: {number: "%"}}` (12)'),
        (["12", "x"], {"types": {"c": "number"}}, "'x' in row 2"),
        ([1.5, 2.5], {"types": {"c": "date"}}, "`types` says date of column `c`"),
        ([[1.0], [2.0]], {"types": {"c": "text"}}, "`types` says text of column `c`"),
        (["a", "b"], {"types": {"d": "text"}}, "`types` names `d`, which is no column"),
    ],
)
def test_what_is_refused(
    read: Read, values: list[Any], settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError) as caught:
        read(values, **settings)
    assert words in str(caught.value)


def test_settings_that_are_none(read_data: ReadData) -> None:
    with pytest.raises(ConfigError, match="thousands"):
        read_data(source="jsonl", path="t.jsonl", target="y", thousands="x")
    with pytest.raises(ConfigError, match="expected one of number"):
        read_data(source="parquet", path="t.parquet", target="y", types={"c": "int"})
