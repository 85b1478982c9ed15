"""Which columns there are after select, drop, rename, drop_constant, one_hot and ordinal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ftune.data.frame import Array, Frame, State
from ftune.data.transforms.categories import codes, frequent, merged_note, texts, usual_min_count
from ftune.data.transforms.choose import chosen, enumerated, fit_each
from ftune.data.transforms.columns import Drop, DropConstant, Rename, Select
from ftune.data.transforms.date import Date
from ftune.data.transforms.impute import Impute
from ftune.data.transforms.one_hot import OneHot
from ftune.data.transforms.ordinal import Ordinal
from ftune.errors import DataError

DATES = np.array(["2024-01-31", "2025-02-28"], dtype="datetime64[s]")


def words(*values: str | None) -> Array:
    return np.array(values, dtype=object)


def frame(**columns: Any) -> Frame:
    arrays = {name: np.asarray(column) for name, column in columns.items()}
    return Frame(arrays, "t.csv", np.arange(1, len(next(iter(arrays.values()))) + 1))


def small() -> Frame:
    return frame(a=[1.0, 2.0], b=words("x", "y"), c=[3.0, 4.0])


def names(transform: Any, rows: Frame) -> list[str]:
    result: Frame = transform.apply(rows, transform.fit(rows, None))
    return list(result.columns)


def test_columns_are_kept_left_out_and_renamed() -> None:
    assert names(Select(["c", "a"]), small()) == ["c", "a"]
    assert names(Drop(["c", "a"]), small()) == ["b"]
    assert names(Rename({"a": "z", "c": "d"}), small()) == ["z", "b", "d"]
    renamed = Rename({"a": "z"}).apply(small(), {"a": {"new": "z"}})
    assert renamed["z"].tolist() == [1.0, 2.0]
    for transform in (Select(["q"]), Drop(["q"]), Rename({"q": "z"}), DropConstant(["q"])):
        with pytest.raises(DataError, match="no column `q`"):
            transform.fit(small(), None)
    for transform in (Select(["a"]), Drop(["a"]), Rename({})):
        assert transform.touches is False  # statistics of others do not depend on it


def test_names_are_exchanged_and_moved_on_at_once() -> None:
    assert names(Rename({"a": "c", "c": "a"}), small()) == ["c", "b", "a"]
    exchanged = Rename({"a": "c", "c": "a"})
    assert exchanged.apply(small(), exchanged.fit(small(), None))["a"].tolist() == [3.0, 4.0]
    assert names(Rename({"a": "b", "b": "z"}), small()) == ["b", "z", "c"]
    for wrong, culprit in (({"a": "b"}, "a"), ({"c": "b"}, "c"), ({"a": "z", "c": "z"}, "c")):
        with pytest.raises(DataError, match=f"`{culprit}` would become {wrong[culprit]}, and a"):
            names(Rename(wrong), small())


@pytest.mark.parametrize(
    "transform", [Impute(indicator=True), OneHot(), Date(parts=["year"]), Rename]
)
def test_the_time_is_linear_in_the_columns(transform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame goes through all of its columns, so a transform makes one, not one a column."""
    column = {Impute: [1.0, np.nan], OneHot: words("x", "y")}.get(type(transform), DATES)
    rows = frame(**{f"c{i}": column for i in range(50)})
    transform = Rename({f"c{i}": f"d{i}" for i in range(50)}) if transform is Rename else transform
    state, frames = transform.fit(rows, None), list[Frame]()
    monkeypatch.setattr(Frame, "__post_init__", lambda made: frames.append(made))
    assert len(transform.apply(rows, state).columns) >= 50
    assert len(frames) == 1


def test_a_column_without_gaps_is_not_copied() -> None:
    rows = small()
    gaps = frame(a=[1.0, np.nan], b=words("x", None))
    state: State = {"a": {"value": 5.0, "flag": False}, "b": {"value": "missing", "flag": False}}
    filled = Impute().apply(rows, state)
    assert filled["a"] is rows["a"] and filled["b"] is rows["b"]
    filled = Impute().apply(gaps, state)
    assert (filled["a"].tolist(), filled["b"].tolist()) == ([1.0, 5.0], ["x", "missing"])
    assert gaps["b"][1] is None


def test_columns_are_chosen_by_name_or_kind() -> None:
    assert chosen(small(), None, "number") == ["a", "c"]
    assert chosen(small(), None, "text", "number") == ["a", "b", "c"]
    assert chosen(small(), ["c", "a", "c"], "text") == ["c", "a"]
    with pytest.raises(DataError, match="no column `q`"):
        chosen(small(), ["q"], "number")


def test_what_is_known_of_a_column_is_not_fitted_again() -> None:
    asked: list[str] = []

    def fit(name: str) -> dict[str, Any]:
        asked.append(name)
        return {"of": name}

    prior = {"a": {"of": "the base"}, "z": {"of": "the base"}}
    state = fit_each(["c", "a"], prior, fit)
    assert state == {"c": {"of": "c"}, "a": {"of": "the base"}} and asked == ["c"]
    assert fit_each(["a"], None, fit) == fit_each(["a"], {}, fit) == {"a": {"of": "a"}}


def test_lists_end_where_they_get_long() -> None:
    parts = [f"p{i}" for i in range(2500)]
    assert enumerated(parts[:3]) == "p0, p1, p2"
    assert enumerated(parts[:20]) == ", ".join(parts[:20])
    assert enumerated(parts[:21]) == ", ".join(parts[:20]) + " … (21 in all)"
    assert enumerated(parts, 2) == "p0, p1 … (2,500 in all)"


def test_a_constant_is_one_value_and_no_gap_that_is_a_category() -> None:
    day, nat = np.datetime64("2024-01-01", "s"), np.datetime64("NaT", "s")
    columns = {
        "number": ([5.0, 5.0, np.nan], True), "numbers": ([5.0, 5.0, 6.0], False),
        "unknown": ([np.nan] * 3, True), "once": ([np.nan, 5.0, np.nan], True),
        "text": (words("a", "a", "a"), True),
        "texts": (words("b", "a", "a"), False), "asked": (words("a", None, "a"), False),
        "silent": (words(None, None, None), True), "date": (np.array([day, day, nat]), True),
        "dates": (np.array([day, day + 1, nat]), False),
        "flag": (np.array([1, 1, 1], dtype=np.uint8), True),
        "code": (np.array([4, 4, 4]), True), "codes": (np.array([4, 4, 5]), False),
    }  # fmt: skip
    rows = frame(**{name: column for name, (column, _) in columns.items()})
    rows = rows.with_columns({"array": np.zeros((3, 2), dtype=np.float32)})
    state = DropConstant().fit(rows, None)
    assert {n: c["constant"] for n, c in state.items()} == {n: c for n, (_, c) in columns.items()}
    kept = [*(name for name, (_, constant) in columns.items() if not constant), "array"]
    assert list(DropConstant().apply(rows, state).columns) == kept
    alone = DropConstant(["number", "texts"])
    assert "text" in names(alone, rows) and "number" not in names(alone, rows)


def test_only_constants_are_said() -> None:
    rows = frame(a=[1.0, 1.0], b=[1.0, 2.0], c=words("x", "x"))
    assert DropConstant().notes(DropConstant().fit(rows, None)) == [
        "drop_constant: left out, as they are the same in all training rows: `a`, `c`."
    ]
    assert DropConstant().notes({"b": {"constant": False}}) == []


def test_an_input_of_the_base_stays_one_and_what_it_left_out_is_looked_at_anew() -> None:
    rows = frame(a=[1.0, 1.0], b=[1.0, 1.0], c=[1.0, 2.0])
    prior = {"a": {"constant": False}, "b": {"constant": True}, "c": {"constant": True}}
    state = DropConstant().fit(rows, prior)
    assert [name for name, column in state.items() if column["constant"]] == ["b"]


@pytest.mark.parametrize(
    ("rows", "least"), [(1, 2), (4000, 2), (5999, 2), (6000, 3), (19_999, 9), (20_000, 10),
                        (40_000, 10)],
)  # fmt: skip
def test_a_category_needs_one_row_in_2000(rows: int, least: int) -> None:
    assert usual_min_count(rows) == least


def test_the_most_frequent_are_listed_in_text_order() -> None:
    column = words(*"cccc", *"bb", *"aa", "d", None, *"eee")
    assert frequent(column, 1, None) == (["a", "b", "c", "d", "e"], {})
    assert frequent(column, None, None) == (["a", "b", "c", "e"], {"merged": [1, 1], "of": 5})
    assert frequent(column, 3, None) == (["c", "e"], {"merged": [3, 5], "of": 5})
    assert frequent(column, 4, None) == (["c"], {"merged": [4, 8], "of": 5})
    assert frequent(column, 9, None) == ([], {"merged": [5, 12], "of": 5})
    assert frequent(column, 1, 2) == (["c", "e"], {"merged": [3, 5], "of": 5})
    assert frequent(column, 1, 3) == (["a", "c", "e"], {"merged": [2, 3], "of": 5})  # a before b
    assert frequent(column, 4, 3) == (["c"], {"merged": [4, 8], "of": 5})
    assert frequent(words(None, None), 1, None) == ([], {})


def test_of_many_as_frequent_the_first_in_text_order_stay() -> None:
    column = words(*[f"{i:03}" for i in range(100)] * 2)
    assert frequent(column, 1, 30)[0] == [f"{i:03}" for i in range(30)]


def test_numbers_are_codes_of_categories_too() -> None:
    rows = frame(n=[3.0, 1.5, np.nan, 3.0], d=np.zeros(4, dtype="datetime64[s]"))
    assert texts(rows, "n").tolist() == ["3", "1.5", None, "3"]
    result = codes(texts(rows, "n"), ["1.5", "3"])
    assert result.tolist() == [2, 1, 0, 2] and result.dtype == np.int64
    with pytest.raises(DataError, match=r"t.csv: column `d` holds dates, not categories"):
        texts(rows, "d")


def test_what_is_merged_is_said_with_its_rows() -> None:
    state: dict[str, dict[str, Any]] = {
        "city": {"merged": [1200, 3456], "of": 1300},
        "whole": {"categories": ["a"]},
        "street": {"merged": [1, 1], "of": 2},
    }
    assert merged_note("one_hot", state, "share the flag `other`") == [
        "one_hot: rare categories share the flag `other`: `city` (1,200 of 1,300 categories,"
        " 3,456 rows), `street` (1 of 2 categories, 1 row)."
    ]
    assert merged_note("one_hot", {"whole": {"categories": ["a"]}}, "vanish") == []


def test_ordinal_counts_rare_categories_as_unknown() -> None:
    rows = frame(c=words("b", "b", "a", "a", "rare", None), n=[1.0] * 6)
    ordinal = Ordinal(min_count=2)
    state = ordinal.fit(rows, None)
    assert state == {"c": {"categories": ["a", "b"], "merged": [1, 1], "of": 3}}
    assert ordinal.apply(rows, state)["c"].tolist() == [2, 2, 1, 1, 0, 0]
    assert ordinal.notes(state) == [
        "ordinal: rare categories count as unknown: `c` (1 of 3 categories, 1 row)."
    ]
    whole = Ordinal().fit(rows, None)
    assert whole == {"c": {"categories": ["a", "b", "rare"]}} and Ordinal().notes(whole) == []
    assert Ordinal(columns=["n"]).fit(rows, None) == {"n": {"categories": ["1"]}}
    assert Ordinal().fit(rows, state) == state


def test_one_hot_names_its_flags_and_says_what_shares_one() -> None:
    rows = frame(c=words(*"aabbbc"), n=[1.0, 1.0, 2.0, 2.0, 2.0, 3.0])
    step = OneHot(min_count=2)
    state = step.fit(rows, None)
    assert state == {"c": {"categories": ["a", "b"], "other": True, "merged": [1, 1], "of": 3}}
    assert step.makes("c", state["c"]) == ["c=a", "c=b", "c=other"]
    done = step.apply(rows, state)
    assert list(done.columns) == ["c=a", "c=b", "c=other", "n"]
    assert done["c=other"].tolist() == [0] * 5 + [1] and done["c=b"].dtype == np.uint8
    assert step.notes(state) == [
        "one_hot: rare categories share the flag `other`: `c` (1 of 3 categories, 1 row)."
    ]
    few = OneHot(most=1).fit(rows, None)["c"]
    assert few == {"categories": ["b"], "other": True, "merged": [2, 3], "of": 3}
    number = OneHot(columns=["n"])
    assert number.makes("n", number.fit(rows, None)["n"]) == ["n=1", "n=2", "n=3"]
    assert number.notes(number.fit(rows, None)) == []
