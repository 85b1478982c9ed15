"""Given files: `group` and `time` are checked across them, by training and by `check --data`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ftune.data.prepare import prepare
from ftune.data.validation.validate import validate
from ftune.errors import DataError

ReadData = Callable[..., Any]
Write = Callable[[str, str], str]


def table(patients: range, first: int = 0) -> str:
    """Three rows of each patient, a day a row from `first` on."""
    rows = [
        f"{i * 0.7:.1f},p{patient},2024-01-{first + i + 1:02d},{'ab'[i % 2]}"
        for i, patient in enumerate(p for p in patients for _ in range(3))
    ]
    return "\n".join(["x,patient,day,y", *rows, ""])


@pytest.fixture
def files(read_data: ReadData, write: Write) -> Callable[..., Any]:
    """`files(train=text, …, split={…})` -> the data of these files."""

    def make(split: dict[str, Any], **parts: str) -> Any:
        paths = {part: write(f"{part}.csv", text) for part, text in parts.items()}
        transforms = [{"drop": ["day"]}, "auto"] if "time" in split else "auto"
        return read_data(source="csv", path=paths, target="y", split=split, transforms=transforms)

    return make


GROUP: dict[str, Any] = {"group": "patient"}


def refused(data: Any) -> str:
    with pytest.raises(DataError) as caught:
        prepare(data, "classes", 0)
    return str(caught.value)


def test_a_group_in_two_files_is_refused(files: Callable[..., Any]) -> None:
    data = files(GROUP, train=table(range(5)), val=table(range(3, 6)))
    said = refused(data)
    assert "2 values of `patient` (`p3`, `p4`) are in" in said
    assert "val.csv" in said and "train.csv" in said and "drop: [patient]" in said
    with pytest.raises(DataError) as caught:
        validate(data, "classes")
    assert str(caught.value) == said


def test_groups_that_stay_in_their_file_are_no_inputs(files: Callable[..., Any]) -> None:
    data = files(GROUP, train=table(range(5)), val=table(range(5, 7)), test=table(range(7, 9)))
    made = prepare(data, "classes", 0)
    assert len(validate(data, "classes")) == 3
    assert "patient" not in made.pipeline.columns
    assert (len(made.train), len(made.val or ()), len(made.test or ())) == (15, 6, 6)


def test_the_test_file_is_looked_at_where_val_is_divided_off(files: Callable[..., Any]) -> None:
    data = files(GROUP, train=table(range(8)), test=table(range(7, 9)))
    assert "1 value of `patient` (`p7`) is in" in refused(data)
    good = files(GROUP, train=table(range(8)), test=table(range(8, 9)))
    assert prepare(good, "classes", 0).val is not None


def test_a_row_without_its_group_is_refused(files: Callable[..., Any]) -> None:
    gap = table(range(5, 7)).replace("p6", "", 1)
    assert "missing in row 4" in refused(files(GROUP, train=table(range(5)), val=gap))


def test_files_that_overlap_in_time_are_refused(files: Callable[..., Any]) -> None:
    time = {"time": "day"}
    said = refused(files(time, train=table(range(5)), val=table(range(3), first=10)))
    assert "data.split.time: `day` begins at 2024-01-11" in said and "(2024-01-15" in said
    touching = files(time, train=table(range(5)), val=table(range(2), first=14))
    assert prepare(touching, "classes", 0).val is not None


def test_nothing_is_stratified_where_nothing_is_divided(files: Callable[..., Any]) -> None:
    split = {"stratify": True}
    data = files(split, train=table(range(5)), val=table(range(5, 7)))
    said = refused(data)
    assert "data.split.stratify: the validation file is given" in said
    with pytest.raises(DataError) as caught:
        validate(data, "classes")
    assert str(caught.value) == said
    assert prepare(files(split, train=table(range(9)), test=table(range(9, 10))), "classes", 0).val


def test_without_the_settings_files_may_share_anything(files: Callable[..., Any]) -> None:
    data = files({}, train=table(range(5)), val=table(range(5)))
    assert len(prepare(data, "classes", 0).train) == 15
    assert len(validate(data, "classes")) == 2
