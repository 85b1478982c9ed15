"""Numbers and dates in other notations: read as set, named where not set, and names left alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ftune.data.frame import Frame
from ftune.data.validation.validate import validate
from ftune.errors import ConfigError, DataError

ReadData = Callable[..., Any]
Read = Callable[..., Frame]


@pytest.fixture
def read(read_data: ReadData, write: Callable[[str, str], str]) -> Read:
    """`read(values, **settings)` -> a table of the column `c` with these values beside `y`."""

    def make(values: list[str], **settings: Any) -> Frame:
        lines = [f"{value};{'ab'[i % 2]}" for i, value in enumerate(values)]
        path = write("t.csv", "\n".join(["c;y", *lines, ""]))
        frame: Frame = read_data(
            source="csv", path=path, target="y", delimiter=";", **settings
        ).source.read(path)
        return frame

    return make


def refused(read: Read, values: list[str], **settings: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(values, **settings)
    return str(caught.value)


NUMBERS: list[tuple[list[str], dict[str, Any], list[float]]] = [
    (["9,25", "-3,5", "1"], {"decimal": ","}, [9.25, -3.5, 1]),
    (["1,5e3", "+2", ",5"], {"decimal": ","}, [1500, 2, 0.5]),
    (["1.234,5", "1.234.567", "2"], {"decimal": ",", "thousands": "."}, [1234.5, 1234567, 2]),
    (["10,160", "999", "1,234,567.5"], {"thousands": ","}, [10160, 999, 1234567.5]),
    (["1,23,456", "12,345", "1"], {"thousands": ","}, [123456, 12345, 1]),
    (["1 234", "1\u202f234", "1\u00a0234"], {"thousands": " "}, [1234] * 3),
    (["1'234.5", "1\u2019234", "7"], {"thousands": "'"}, [1234.5, 1234, 7]),
    (["10.24%", "3 %", "-1%"], {"types": {"c": {"number": "%"}}}, [10.24, 3, -1]),
    (["$2.99", "-$3", "$ -4"], {"types": {"c": {"number": "$"}}}, [2.99, -3, -4]),
    (["2,35 €", "10 €", "7"], {"decimal": ",", "types": {"c": {"number": "€"}}}, [2.35, 10, 7]),
    (["12 kg", "3.5kg", "7"], {"types": {"c": {"number": "kg"}}}, [12, 3.5, 7]),
    (["(1,234.50)", "2", "-3"],
     {"thousands": ",", "types": {"c": {"number": "()"}}}, [-1234.5, 2, -3]),
    (["1,234 USD", "2 USD", ""],
     {"thousands": ",", "types": {"c": {"number": "USD"}}}, [1234, 2, np.nan]),
]  # fmt: skip


@pytest.mark.parametrize(("values", "settings", "expected"), NUMBERS)
def test_numbers_are_read_as_set(
    read: Read, values: list[str], settings: dict[str, Any], expected: list[float]
) -> None:
    frame = read(values, **settings)
    assert frame.kind("c") == "number"
    np.testing.assert_array_equal(frame["c"], expected)


WAYS: list[tuple[list[str], list[str]]] = [
    (["9,25", "3,5"], ['`decimal: ","` (9.25)']),
    (["1,234", "10,160"], ['`thousands: ","` (1234)', '`decimal: ","` (1.234)']),
    (["1,234.5", "2"], ['`thousands: ","` (1234.5)']),
    (["1.234,5", "2,1"], ['`decimal: ","` and `thousands: "."` (1234.5)']),
    (["1 234", "999"], ['`thousands: " "` (1234)']),
    (["10.24%", "3%"], ['`types: {c: {number: "%"}}` (10.24)']),
    (["$1,234.50", "$2"], ['`thousands: ","` and `types: {c: {number: "$"}}` (1234.5)']),
    (["(1,234.50)", "2"],
     ['`thousands: ","` and `types: {c: {number: "()"}}` (-1234.5)']),
    (["(12)", "13.5"], ['`types: {c: {number: "()"}}` (-12)']),
    (["12 CHF", "13.5 CHF"], ['`types: {c: {number: "CHF"}}` (12)']),
    (["24/10/2023", "11/05/2023"], ['`types: {c: {date: "%d/%m/%Y"}}` (2023-10-24)']),
    (["11/05/2023", "1/2/2023"],
     ['{date: "%d/%m/%Y"}}` (2023-05-11)', '{date: "%m/%d/%Y"}}` (2023-11-05)']),
    (["31.12.23 10:30", "01.02.24 11:00"],
     ['`types: {c: {date: "%d.%m.%y %H:%M"}}` (2023-12-31 10:30:00)']),
    (["5 Mar 2023", "17 January 2024"], ['`types: {c: {date: "%d %b %Y"}}` (2023-03-05)']),
    (["Mar 5, 2023 10:03 PM", "Mar 6, 2023 1:03 AM"],
     ['`types: {c: {date: "%b %d, %Y %I:%M %p"}}` (2023-03-05 22:03:00)']),
    (["2023-01-05"] * 39 + ["never"], ["`types: {c: date}` (2023-01-05)", "row 40: 'never'"]),
    (["3,5"] * 39 + ["ten"], ["39 of 40 values", '`decimal: ","`', "row 40: 'ten'"]),
]  # fmt: skip


@pytest.mark.parametrize(("values", "ways"), WAYS)
def test_every_setting_that_fits_is_named_and_fits(
    read: Read, values: list[str], ways: list[str]
) -> None:
    said = refused(read, values)
    assert [way for way in ways if way not in said] == [], said
    assert "`types: {c: text}`" in said
    assert said.count(" or by ") == max(0, sum("(" in way for way in ways) - 1)
    assert read(values, types={"c": "text"}).kind("c") == "text"


@pytest.mark.parametrize("values", [values for values, _ in WAYS if len(values) == 2])
def test_what_the_error_names_can_be_written(read: Read, values: list[str]) -> None:
    import yaml

    way = refused(read, values).split(" values are by ")[1].split(" (")[0]
    settings: dict[str, Any] = {}
    for setting in re.findall(r"`([^`]*)`", way):
        settings |= yaml.safe_load(setting)
    assert read(values, **settings).kind("c") in ("number", "date")


@pytest.mark.parametrize(
    "values",
    [
        ["p0", "p1"], ["1-2", "3-4"], ["192.168.1.1", "10.0.0.12"], ["a,b", "c,d"], ["12 kg", "3"],
        ["1.2.3", "2.10.0"], ["10:30", "x"], ["Q1", "Q2"], ["$", "$$"], ["31/02/2023", "x"],
    ],
)  # fmt: skip
def test_names_stay_names(read: Read, values: list[str]) -> None:
    frame = read(values)
    assert frame["c"].tolist() == values


def test_a_point_where_the_comma_is_set(read: Read) -> None:
    assert '`decimal: "."` (2.35)' in refused(read, ["2.35", "1.5"], decimal=",")
    both = refused(read, ["1.234", "2.345"], decimal=",")
    assert '`decimal: "."` (1.234)' in both
    assert '`thousands: "."` (1234)' in both


def test_dates_are_read_as_set(read: Read) -> None:
    dates = read(["31/12/2023", "1/2/2024", ""], types={"c": {"date": "%d/%m/%Y"}})
    assert dates.kind("c") == "date"
    assert dates["c"].astype(str).tolist() == ["2023-12-31T00:00:00", "2024-02-01T00:00:00", "NaT"]


@pytest.mark.parametrize("value", ["31/02/2023", "12/31/2023", "1/1/23", "2023-01-01", "x"])
def test_a_day_that_is_none_is_named(read: Read, value: str) -> None:
    said = refused(read, ["28/02/2023", value], types={"c": {"date": "%d/%m/%Y"}})
    assert f"{value!r} in row 2" in said


def test_values_that_are_not_as_declared_are_told_with_their_notation(read: Read) -> None:
    said = refused(read, ["1", "9,250", "8,100"], types={"c": "number"})
    assert "'9,250' in 2 rows (2, 3)" in said
    assert '`thousands: ","`' in said
    said = refused(read, ["24/10/2023", "1/2/2024"], types={"c": "date"})
    assert '`types: {c: {date: "%d/%m/%Y"}}`' in said
    said = refused(read, ["1", "ten"], types={"c": "number"})
    assert "'ten' in row 2" in said
    assert "They are" not in said


@pytest.mark.parametrize("values", [values for values, _ in WAYS])
def test_check_says_the_same(
    read: Read, read_data: ReadData, values: list[str], tmp_path: Any
) -> None:
    said = refused(read, values)
    path = str(tmp_path / "t.csv")
    data = read_data(source="csv", path=path, target="y", delimiter=";")
    with pytest.raises(DataError) as caught:
        validate(data, "classes")
    assert str(caught.value) == said


@pytest.mark.parametrize(("values", "settings", "expected"), NUMBERS)
def test_check_finds_nothing_where_it_is_set(
    read: Read, read_data: ReadData, tmp_path: Any,
    values: list[str], settings: dict[str, Any], expected: list[float],
) -> None:  # fmt: skip
    assert len(read(values, **settings)) == len(expected)
    path = str(tmp_path / "t.csv")
    data = read_data(source="csv", path=path, target="y", delimiter=";", **settings)
    assert validate(data, "classes")[0].rows == len(values)


def test_several_columns_are_told_at_once(
    read_data: ReadData, write: Callable[[str, str], str]
) -> None:
    path = write("t.csv", "a,b,y\n10%,$1,u\n11%,$2,v\n")
    with pytest.raises(DataError) as caught:
        read_data(source="csv", path=path, target="y").source.read(path)
    assert '{a: {number: "%"}}' in str(caught.value)
    assert '{b: {number: "$"}}' in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"types": {"c": {"date": "dd/mm"}}}, "%d/%m/%Y"),
        ({"types": {"c": {"date": "%d %Q"}}}, "`%Q` is not read"),
        ({"types": {"c": {"dates": "%d"}}}, "expected {date:"),
        ({"types": {"c": {"number": "1"}}}, "no digits"),
        ({"types": {"c": "int"}}, "number, text, date"),
        ({"decimal": ";"}, "expected one of"),
        ({"thousands": "x"}, "expected a comma"),
        ({"thousands": "."}, "not that of `decimal`"),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    read_data: ReadData, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        read_data(source="csv", path="t.csv", target="y", **settings)


ZONED = ["2024-01-02T03:04:05+02:00", "2024-07-01T03:04Z", "2024-07-01 23:04:05.25-0330"]
UTC = ["2024-01-02T01:04:05", "2024-07-01T03:04:00", "2024-07-02T02:34:05"]


@pytest.mark.parametrize("plain", [False, True])
def test_dates_with_zones_are_of_utc(read: Read, plain: bool) -> None:
    """Worked out by hand; some values may have no zone."""
    values = [*ZONED, "2024-07-01 05:06"] if plain else ZONED
    frame = read(values, types={"c": "date"})
    assert frame["c"].astype(str).tolist() == [*UTC, *(["2024-07-01T05:06:00"] if plain else [])]
    for odd in ("2024-07-01T25:04Z", "2024-02-31T05:04Z", "2024-07-01Z"):
        assert repr(odd) in refused(read, [*ZONED, odd], types={"c": "date"})
