"""`transforms: auto`, column kind by column kind: what it makes, leaves out and says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from ftune.data.dataset import Dataset
from ftune.data.frame import Array, Frame
from ftune.data.prepare import prepare
from ftune.data.schema import Data
from ftune.data.tables import TablePipeline
from ftune.data.transforms.categories import usual_min_count
from ftune.data.transforms.standardize import Standardize

ReadData = Callable[..., Data]
Columns = dict[str, Any]
RNG = np.random.default_rng(0)
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def dates(days: Array) -> pa.Array:
    return pa.array(np.datetime64("2023-03-01") + days)


def prepared(read: ReadData, folder: Path, columns: Columns, **settings: Any) -> Dataset:
    """The columns beside `y`, all rows to train on but a few."""
    size = len(next(iter(columns.values())))
    table = {**columns, "y": RNG.normal(size=size)}
    parquet.write_table(pa.table(table), folder / "t.parquet")
    split = {"val": 2, "test": 0}
    data = read(
        source="parquet", path=str(folder / "t.parquet"), target="y", split=split, **settings
    )
    return prepare(data, "numbers", 0)


def names(made: Dataset) -> tuple[str, ...]:
    assert made.pipeline.features.names is not None
    return made.pipeline.features.names


def test_constant_columns_of_every_kind_are_left_out_and_named(
    read_data: ReadData, tmp_path: Path
) -> None:
    columns = {
        "x": RNG.normal(size=30),
        "number": np.full(30, 0.1),
        "nanoseconds": np.full(30, 1700000000123456768),
        "unknown": np.full(30, np.nan),
        "gaps": np.where(np.arange(30) % 2, 7.0, np.nan),
        "text": ["same"] * 30,
        "truth": [True] * 30,
        "day": dates(np.zeros(30, dtype=int)),
        "asked": [None if i % 2 else "yes" for i in range(30)],
    }
    made = prepared(read_data, tmp_path, columns)
    assert names(made) == ("x", "asked=missing", "asked=yes")
    assert made.notes == [
        "drop_constant: left out, as they are the same in all training rows: `number`,"
        " `nanoseconds`, `unknown`, `gaps`, `text`, `truth`, `day`."
    ]
    assert list(made.pipeline.columns) == ["x", "asked"]  # new rows need not have the others


def test_date_parts_that_do_not_vary_are_not_made(read_data: ReadData, tmp_path: Path) -> None:
    made = prepared(read_data, tmp_path, {"day": dates(np.arange(31))})
    assert names(made) == ("day.day", "day.weekday")
    assert made.notes == [
        "date: parts that are the same in all training rows are not made: `day.year`, `day.month`."
    ]
    written = prepared(
        read_data, tmp_path, {"day": dates(np.arange(31))},
        transforms=[{"date": {"parts": ["year", "day"]}}],
    )  # fmt: skip
    assert names(written) == ("day.year", "day.day") and written.notes == []


@pytest.mark.parametrize(("rows", "count"), [(20, 2), (3999, 2), (10_000, 5), (10**6, 10)])
def test_min_count_is_relative_to_the_rows(rows: int, count: int) -> None:
    assert usual_min_count(rows) == count


@pytest.mark.parametrize("each", [3, 8, 20])
def test_twelve_months_of_few_rows_keep_their_flags(
    each: int, read_data: ReadData, tmp_path: Path
) -> None:
    columns = {"month": MONTHS * each, "x": RNG.normal(size=12 * each)}
    assert len(names(prepared(read_data, tmp_path, columns))) == 13
    # The control: with the threshold of version 0.1.
    merged = prepared(read_data, tmp_path, columns, transforms=[{"auto": {"min_count": 10}}])
    assert len(names(merged)) == (13 if each == 20 else 1)


def test_categories_of_one_row_are_merged_and_counted(read_data: ReadData, tmp_path: Path) -> None:
    columns = {"city": ["Rome", "Oslo"] * 20 + [f"rare{i}" for i in range(5)] * 1}
    columns["name"] = [f"n{i}" for i in range(45)]
    made = prepared(read_data, tmp_path, columns, limit=43)
    assert names(made)[-1] == "city=other"
    note, left = made.notes
    assert note.startswith("one_hot: rare categories share the flag `other`: `city` (")
    assert left == (
        "one_hot: left out, as no category has enough rows of its own: `name` (43 categories)."
    )


def test_every_kind_at_once_stays_small(read_data: ReadData, tmp_path: Path) -> None:
    """The control: standardize makes 31 of the one flag in 1,000."""
    size = 1000
    columns = {
        "heavy": RNG.standard_cauchy(size),
        "flag": (np.arange(size) < 1).astype(float),
        "few": RNG.integers(0, 4, size),
        "gaps": np.where(RNG.random(size) < 0.9, np.nan, RNG.gamma(2, 3, size)),
        "truth": RNG.random(size) < 0.5,
        "day": dates(RNG.integers(0, 700, size)),
        "nanoseconds": 1_700_000_000_000_000_000 + 10**9 * np.arange(size),
    }
    made = prepared(read_data, tmp_path, columns)
    assert made.train.x.abs().max() <= 3.0
    shares = {name: made.train.x[:, i].std() for i, name in enumerate(names(made))}
    assert all(0.3 < share < 2.5 for name, share in shares.items() if name != "flag")
    by_hand = ["date", "impute", "standardize", "one_hot"]
    control = prepared(read_data, tmp_path, columns, transforms=by_hand)
    assert control.train.x.abs().max() > 20


def test_a_tiny_table(read_data: ReadData, tmp_path: Path) -> None:
    columns = {"x": RNG.normal(size=20), "c": list("ab") * 10, "d": dates(np.arange(20) % 3)}
    made = prepared(read_data, tmp_path, columns)
    assert names(made) == ("x", "c=a", "c=b", "d.day", "d.weekday")


def test_what_a_base_has_as_an_input_stays_one(read_data: ReadData, tmp_path: Path) -> None:
    first = {"x": RNG.normal(size=30), "c": RNG.normal(size=30), "d": np.full(30, 2.0)}
    base = prepared(read_data, tmp_path, first).pipeline
    second = {"x": RNG.normal(size=30), "c": np.full(30, 0.4), "d": RNG.normal(size=30)}
    frame = Frame({**second, "y": first["x"]}, "t.csv", np.arange(1, 31))
    data = read_data(source="csv", path="t.csv", target="y")
    assert isinstance(base, TablePipeline)
    tuned = TablePipeline.fit(data, frame, "numbers", base)
    assert tuned.features.names == ("x", "c", "d")
    assert TablePipeline.fit(data, frame, "numbers").features.names == ("x", "d")


def test_the_auto_of_a_base_of_version_0_1_stays(read_data: ReadData) -> None:
    """Its weights are for standardized numbers; `min_count` is the file's where it is stated."""
    rows = {"x": RNG.normal(3, 5, 40), "c": np.array(["a", "b"] * 20, dtype=object)}
    frame = Frame({**rows, "y": rows["x"]}, "t.csv", np.arange(1, 41))
    plain = {"source": "csv", "path": "t.csv", "target": "y"}
    before = read_data(**plain, transforms=["date", "impute", "standardize", {"one_hot": 10}])
    base = TablePipeline.fit(before, frame, "numbers")
    again = TablePipeline.restore(json.loads(json.dumps(base.to_json())), base.arrays())
    tuned = TablePipeline.fit(read_data(**plain), frame.take(np.arange(20)), "numbers", again)
    assert [step.transform for step in tuned.steps] == [step.transform for step in base.steps]
    assert tuned.steps[2].state == base.steps[2].state
    stated = read_data(**plain, transforms=[{"auto": {"min_count": 3}}])
    assert TablePipeline.fit(stated, frame, "numbers", again).steps[3].transform.min_count == 3
    fresh = TablePipeline.fit(read_data(**plain), frame, "numbers")
    assert not any(isinstance(step.transform, Standardize) for step in fresh.steps)


def test_statistics_taken_over_are_not_told_of_again(read_data: ReadData, tmp_path: Path) -> None:
    columns = {"x": np.append(RNG.normal(size=39), 1e6), "c": ["a"] * 39 + ["b"]}
    first = prepared(read_data, tmp_path, columns, limit=38)
    assert any(note.startswith("robust: ") for note in [*first.notes, "robust: "])
    data = read_data(
        source="parquet", path=str(tmp_path / "t.parquet"), target="y",
        split={"val": 2, "test": 0},
    )  # fmt: skip
    assert not [n for n in prepare(data, "numbers", 0, prior=first.pipeline).notes if "robust" in n]


def test_a_base_keeps_its_statistics_to_the_bit(read_data: ReadData) -> None:
    """Other rows, after the way through a checkpoint; the control is `statistics: refit`."""
    old, new = (Frame(many(seed), "t.csv", np.arange(1, 201)) for seed in (0, 1))
    plain = {"source": "csv", "path": "t.csv", "target": "y"}
    base = TablePipeline.fit(read_data(**plain), old, "numbers")
    again = TablePipeline.restore(json.loads(json.dumps(base.to_json())), base.arrays())
    tuned = TablePipeline.fit(read_data(**plain), new, "numbers", again)
    assert tuned.steps == base.steps and tuned.features == base.features
    np.testing.assert_array_equal(tuned.inputs(new).x, base.inputs(new).x)
    assert "statistics of the base kept" in " ".join(tuned.notes)
    refitted = TablePipeline.fit(read_data(**plain, statistics="refit"), new, "numbers", again)
    assert refitted.steps != base.steps
    assert [s.transform for s in refitted.steps] == [s.transform for s in base.steps]


def many(seed: int) -> Columns:
    """A column of each kind that `auto` learns from, 200 rows."""
    dice = np.random.default_rng(seed)
    return {
        "x": dice.gamma(2 + seed, 3, 200),
        "gaps": np.where(dice.random(200) < 0.2, np.nan, dice.normal(seed, 1, 200)),
        "fare": np.append(np.full(199, 37.0), 38.0 + seed),
        "town": dice.choice(np.array(["Rome", "Oslo", "Ulm"], dtype=object), 200),
        "day": np.datetime64("2020-01-01T00:00:00") + dice.integers(0, 700, 200) * 3600,
        "nanoseconds": 1.7e18 + 256.0 * dice.integers(0, 50, 200),
        "y": dice.normal(size=200),
    }
