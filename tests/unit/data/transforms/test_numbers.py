"""clip, scale, log, quantile and impute, value by value, and what they refuse."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from ftune.config.read import SettingError
from ftune.data import TRANSFORMS
from ftune.data.frame import Array, Frame, State
from ftune.data.transforms.clip import Clip
from ftune.data.transforms.flatten import Flatten
from ftune.data.transforms.impute import Impute
from ftune.data.transforms.log import Log
from ftune.data.transforms.quantile import Quantile
from ftune.data.transforms.scale import Scale
from ftune.data.transforms.tokenize import Tokenize
from ftune.errors import DataError

RNG = np.random.default_rng(0)
X = RNG.gamma(2, 3, 201)


def frame(**columns: Any) -> Frame:
    arrays = {name: np.asarray(column) for name, column in columns.items()}
    return Frame(arrays, "t.csv", np.arange(1, len(next(iter(arrays.values()))) + 1))


def fitted(transform: Any, **columns: Any) -> State:
    state: State = transform.fit(frame(**columns), None)
    return state


def applied(transform: Any, state: State, **columns: Any) -> dict[str, Any]:
    result: Frame = transform.apply(frame(**columns), state)
    return {name: column.tolist() for name, column in result.columns.items()}


def texts(*values: str | None) -> Array:
    return np.array(values, dtype=object)


def test_bounds_are_numpys_quantiles_unless_stated() -> None:
    with_gaps = np.insert(X, [3, 70], np.nan)
    low, high = np.quantile(X, 0.1), np.quantile(X, 0.9)
    assert fitted(Clip(0.1), x=with_gaps) == {"x": {"low": low, "high": high}}
    assert fitted(Clip(0.1, low=-2.5), x=X) == {"x": {"low": -2.5, "high": high}}
    assert fitted(Clip(0.1, high=7.5), x=X) == {"x": {"low": low, "high": 7.5}}
    assert fitted(Clip(0.1, low=0.0, high=0.0), x=X) == {"x": {"low": 0.0, "high": 0.0}}
    assert fitted(Clip(low=1.0), x=X) == {"x": {"low": 1.0, "high": None}}
    assert fitted(Clip(high=1.0), x=[np.nan]) == {"x": {"low": None, "high": 1.0}}
    assert [Clip(0.1).learns, Clip(0.1, low=1.0).learns, Clip(0.1, high=1.0).learns] == [True] * 3
    assert not Clip(low=1.0).learns and not Clip(0.1, low=1.0, high=2.0).learns


def test_what_lies_beyond_the_bounds_moves_there() -> None:
    values = [-9.0, 1.0, 1.5, 2.0, 9.0]
    both = {"x": {"low": 1.0, "high": 2.0}}
    assert applied(Clip(low=1.0), both, x=values)["x"] == [1.0, 1.0, 1.5, 2.0, 2.0]
    below = fitted(Clip(high=1.2), x=values)
    assert applied(Clip(high=1.2), below, x=values)["x"] == [-9.0, 1.0, 1.2, 1.2, 1.2]
    back = Clip(low=1.0).invert(np.array([5.0, -5.0]), {"low": 1.0, "high": 2.0})
    assert back.tolist() == [5.0, -5.0]


def test_columns_that_are_named_are_the_ones() -> None:
    columns = {"x": [5.0, 7.0], "z": [5.0, 8.0], "c": np.array([5, 5])}
    for transform in (Clip(low=6.0, columns=["z"]), Scale(by=2.0, columns=["z"]), Log(["z"]),
                      Quantile(columns=["z"]), Impute(columns=["z"])):  # fmt: skip
        assert list(fitted(transform, **columns)) == ["z"]
    for transform in (Clip(low=6.0), Scale(by=2.0), Log(), Quantile(), Impute()):
        assert list(fitted(transform, **columns)) == ["x", "z"]


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 255.0), (2.0, 3.0)])
def test_a_range_is_scikit_learns(bounds: tuple[float, float]) -> None:
    from sklearn.preprocessing import MinMaxScaler

    theirs = MinMaxScaler(bounds).fit(X[:, None])
    transform = Scale(range=list(bounds))
    state, new = fitted(transform, x=X), np.array([-3.0, 4.0, 99.0])
    done = applied(transform, state, x=new)["x"]
    np.testing.assert_allclose(done, theirs.transform(new[:, None])[:, 0])
    back = transform.invert(np.array(done), state["x"])
    np.testing.assert_allclose(back, theirs.inverse_transform(np.array(done)[:, None])[:, 0])
    assert transform.learns


def test_a_factor_multiplies() -> None:
    transform = Scale(by=0.0625)
    state = fitted(transform, x=[16.0, np.nan, -4.0])
    assert not transform.learns
    done = applied(transform, state, x=[16.0, 0.0, -4.0])["x"]
    assert done == [1.0, 0.0, -0.25]
    assert transform.invert(np.array(done), state["x"]).tolist() == [16.0, 0.0, -4.0]


def test_logarithms_keep_the_sign() -> None:
    values = [-(np.e**2 - 1), -1e-12, 0.0, 1.0, np.e**3 - 1]
    done = applied(Log(), fitted(Log(), x=values), x=values)["x"]
    np.testing.assert_allclose(done, [-2.0, -1e-12, 0.0, np.log(2.0), 3.0], rtol=1e-9)
    np.testing.assert_allclose(Log().invert(np.array(done), {}), values, rtol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Log().invert(np.array([1e4, -1e4]), {}).tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize("to", ["normal", "uniform"])
@pytest.mark.parametrize("quantiles", [2, 7, 1000])
def test_ranks_and_the_way_back_are_scikit_learns(to: Any, quantiles: int) -> None:
    from sklearn.preprocessing import QuantileTransformer

    values = np.concatenate([X, np.repeat(X.min(), 30), np.repeat(3.0, 40), np.repeat(X.max(), 9)])
    theirs = QuantileTransformer(
        n_quantiles=min(quantiles, len(values)), output_distribution=to, subsample=None
    ).fit(values[:, None])
    transform = Quantile(to, quantiles)
    state = fitted(transform, x=np.append(values, np.nan))
    np.testing.assert_allclose(state["x"]["points"], theirs.quantiles_[:, 0], rtol=1e-12)
    ends = [X.min(), X.max(), 3.0, X.min() - 1, X.max() + 1, X.min() + 1e-6, np.nan]
    new = np.concatenate([values, ends])
    done = np.array(applied(transform, state, x=new)["x"])
    np.testing.assert_allclose(done, theirs.transform(new[:, None])[:, 0], atol=1e-9)
    back = transform.invert(done[:-1], state["x"])
    assert isinstance(back, np.ndarray)
    # The ends of the normal are a rank of 1e-7 away from 0 and 1, which scikit-learn rounds off.
    atol = 1e-5 if to == "normal" else 1e-9
    np.testing.assert_allclose(back, theirs.inverse_transform(done[:-1, None])[:, 0], atol=atol)


def test_ranks_of_a_constant_are_the_middle_and_the_ends() -> None:
    transform = Quantile("uniform")
    state = fitted(transform, x=[4.0, 4.0, 4.0])
    done = applied(transform, state, x=[4.0, 3.0, 5.0, np.nan])["x"]
    assert done[:3] == [0.5, 0.0, 1.0] and np.isnan(done[3])
    normal = Quantile("normal")
    far = applied(normal, state, x=[4.0, 3.0, 5.0])["x"]
    from scipy.stats import norm  # type: ignore[import-untyped]

    np.testing.assert_allclose(far, [0.0, norm.ppf(1e-7), norm.ppf(1 - 1e-7)], rtol=1e-9, atol=0)


def test_two_values_of_which_one_is_everywhere() -> None:
    """A constant grid with a top: only what equals it lies in the middle."""
    transform = Quantile("uniform", 3)
    state = fitted(transform, x=[1.0, 1.0, 1.0, 2.0])
    assert applied(transform, state, x=[1.0, 1.5, 2.0])["x"] == [0.0, 0.75, 1.0]


@pytest.mark.parametrize(
    ("strategy", "filled"),
    [("mean", 3.0), ("median", 2.5), ("most_frequent", 1.0), ("constant", 0.0)],
)
def test_gaps_are_filled(strategy: Any, filled: float) -> None:
    """Ties of the most frequent: the smallest, as in scikit-learn."""
    values = [6.0, 1.0, np.nan, 1.0, 4.0, np.nan]
    values += [6.0, 0.0] if strategy == "most_frequent" else []
    transform = Impute(strategy)
    state = fitted(transform, x=values)
    assert state == {"x": {"value": filled, "flag": False}}
    assert applied(transform, state, x=[np.nan, 9.0])["x"] == [filled, 9.0]
    assert transform.learns == (strategy != "constant")
    assert Impute("constant", indicator=True).learns
    assert transform.makes("x", state["x"]) == []


def test_flags_stand_beside_columns_with_gaps_in_the_training_rows() -> None:
    columns = {
        "gaps": [1.0, np.nan], "whole": [1.0, 2.0], "t": texts("a", None), "u": texts("a", "b"),
        "image": np.array([[1.0, np.nan], [3.0, 8.0]], dtype=np.float32),
    }  # fmt: skip
    transform = Impute(indicator=True)
    state = fitted(transform, **columns)
    assert [name for name, column in state.items() if column["flag"]] == ["gaps"]
    done = applied(transform, state, **columns)
    assert list(done) == ["gaps", "gaps=missing", "whole", "t", "u", "image"]
    assert done["gaps"] == [1.0, 1.0] and done["gaps=missing"] == [0, 1]
    assert done["t"] == ["a", "missing"] and done["image"] == [[1.0, 3.0], [3.0, 8.0]]
    result = transform.apply(frame(**columns), state)
    assert result["image"].dtype == np.float32 and result["gaps=missing"].dtype == np.uint8
    frequent = fitted(Impute("most_frequent", indicator=True), **columns)
    assert [n for n, c in frequent.items() if c["flag"]] == ["gaps", "t"]
    assert not any(column["flag"] for column in fitted(Impute(), **columns).values())


def test_texts_are_filled() -> None:
    column = texts("b", None, "a", "c", "a", "b")
    assert fitted(Impute("most_frequent"), t=column)["t"]["value"] == "a"
    assert fitted(Impute("constant", text="?"), t=column)["t"]["value"] == "?"
    assert fitted(Impute(text="?"), t=texts(None))["t"]["value"] == "?"
    state = {"t": {"value": "z", "flag": True}}
    done = applied(Impute("most_frequent"), state, t=texts("a", None))
    assert done == {"t": ["a", "z"], "t=missing": [0, 1]}


def test_nothing_known_is_refused_with_the_remedy() -> None:
    unknown = {"x": np.full(1200, np.nan)}
    message = r"t.csv: column `x` has no known value in the 1,200 training rows; add `drop: \[x\]`"
    for name in ("impute", "standardize", "robust", "quantile"):
        with pytest.raises(DataError, match=message):
            fitted(TRANSFORMS[name](), **unknown)
    with pytest.raises(DataError, match=message):
        fitted(Impute("most_frequent"), x=np.full(1200, None, dtype=object))
    with pytest.raises(DataError, match=message):
        fitted(Clip(0.1), **unknown)
    assert fitted(Impute("constant", 3.0), **unknown) == {"x": {"value": 3.0, "flag": False}}


def test_infinite_values_are_refused_with_their_rows() -> None:
    number = [1.0, np.inf, 3.0, -np.inf, np.nan]
    with pytest.raises(DataError, match=r"t.csv: column `x`: infinite values in 2 rows \(2, 4\);"):
        fitted(TRANSFORMS["standardize"](), x=number)
    image = np.zeros((3, 2, 2), dtype=np.float32)
    image[1] = [[0.0, np.inf], [np.inf, 0.0]]
    with pytest.raises(DataError, match=r"column `i`: infinite values in row 2;"):
        fitted(TRANSFORMS["standardize"](), i=image)


@pytest.mark.parametrize(
    "transform", [Clip(0.1, columns=["t"]), Log(["t"]), Scale(by=2.0, columns=["t"]),
                  Quantile(columns=["t"])],
)  # fmt: skip
def test_texts_and_dates_are_no_numbers(transform: Any) -> None:
    for column, remedy in ((texts("a", "b"), "texts, not numbers; use one_hot or ordinal first"),
                           (np.zeros(2, dtype="datetime64[s]"), "dates, not numbers; use date "),
                           ):  # fmt: skip
        with pytest.raises(DataError, match=f"t.csv: column `t` holds {remedy}"):
            transform.apply(frame(t=column), fitted(transform, t=column))


def test_an_array_becomes_a_line_of_numbers() -> None:
    image = RNG.random((5, 2, 3, 4)).astype(np.float32)
    state = fitted(Flatten(), image=image, x=np.zeros(5))
    assert state == {"image": {}}
    done = Flatten().apply(frame(image=image, x=np.zeros(5)), state)
    assert done["image"].shape == (5, 24) and done["x"].shape == (5,)
    np.testing.assert_array_equal(done["image"][3], image[3].ravel())


@pytest.mark.parametrize(
    ("make", "setting", "message"),
    [
        (lambda: Clip(), "quantile", "needs a `quantile`, or `low`, `high` or both"),
        (lambda: Clip(low=2.0, high=1.5), "low", "2 is above `high`, 1.5"),
        (lambda: Scale(), "by", "needs either `by` or `range`"),
        (lambda: Scale(by=2.0, range=[0.0, 1.0]), "by", "needs either `by` or `range`"),
        (lambda: Scale(by=0.0), "by", "0 would erase the column"),
        (lambda: Scale(range=[1.0, 0.0]), "range", r"\[1.0, 0.0\]: expected \[low, high\]"),
        (lambda: Scale(range=[1.0, 1.0]), "range", r"\[1.0, 1.0\]: expected \[low, high\]"),
        (lambda: Scale(range=[1.0]), "range", r"\[1.0\]: expected \[low, high\]"),
        (lambda: Scale(range=[0.0, 1.0, 2.0]), "range", "expected"),
        (lambda: Tokenize(stream=True, packing=True), "packing", "goes not with `stream`"),
        (lambda: Tokenize(chat=False, chat_template="chatml"), "chat_template", "`chat: false`"),
    ],
)
def test_settings_that_do_not_fit_are_refused(make: Any, setting: str, message: str) -> None:
    with pytest.raises(SettingError, match=message) as caught:
        make()
    assert caught.value.setting == setting


@pytest.mark.parametrize(
    "make",
    [
        lambda: Clip(low=1.0, high=1.0), lambda: Clip(0.1, low=5.0), lambda: Clip(high=-5.0),
        lambda: Scale(by=-1.0), lambda: Scale(by=1.0), lambda: Scale(range=[-1.0, 0.0]),
        lambda: Tokenize(stream=True), lambda: Tokenize(packing=True),
        lambda: Tokenize(stream=False, packing=True), lambda: Tokenize(chat=False),
        lambda: Tokenize(chat_template="chatml"), lambda: Tokenize(chat=True, chat_template="x"),
    ],
)  # fmt: skip
def test_settings_that_fit_are_taken(make: Any) -> None:
    make()


def test_a_constant_column_keeps_its_unit() -> None:
    """As scikit-learn, whose scale of a constant is 1: new values are not blown up."""
    from sklearn.preprocessing import StandardScaler

    constant, new = np.full((9, 1), 5.0), np.array([[5.0], [7.0], [-1.0]])
    transform = TRANSFORMS["standardize"]()
    done = applied(transform, fitted(transform, x=constant[:, 0]), x=new[:, 0])["x"]
    assert done == StandardScaler().fit(constant).transform(new)[:, 0].tolist() == [0.0, 2.0, -6.0]


@pytest.mark.parametrize(
    ("part", "period"),
    [("month", 12), ("day", 31), ("weekday", 7), ("hour", 24), ("minute", 60),
     ("day_of_year", 365.2425)],
)  # fmt: skip
def test_parts_of_dates_go_round_in_their_period(part: Any, period: float) -> None:
    days = np.datetime64("2023-01-01T00:00:00", "s") + RNG.integers(0, 10**8, 50)
    plain, cyclic = (TRANSFORMS["date"](parts=["year", part], cyclic=c) for c in (False, True))
    values = np.array(applied(plain, fitted(plain, d=days), d=days)[f"d.{part}"])
    done = applied(cyclic, fitted(cyclic, d=days), d=days)
    assert list(done) == ["d.year", f"d.{part}.sin", f"d.{part}.cos"]
    angle = 2 * np.pi * values / period
    np.testing.assert_allclose(done[f"d.{part}.sin"], np.sin(angle), atol=1e-12)
    np.testing.assert_allclose(done[f"d.{part}.cos"], np.cos(angle), atol=1e-12)


def test_parts_of_any_time_are_the_calendars() -> None:
    import datetime

    parts = ["year", "month", "day", "weekday", "hour", "minute", "day_of_year"]
    transform = TRANSFORMS["date"](parts=parts)
    seconds = [*RNG.integers(-(10**10), 10**10, 300).tolist(), 3599, 3600, 86399, 86400, -1, 0]
    times = np.datetime64("1970-01-01T00:00:00", "s") + np.array(seconds)
    done = applied(transform, fitted(transform, d=times), d=times)
    for row, second in enumerate(seconds):
        t = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=second)
        day = t.timetuple().tm_yday
        expected = [t.year, t.month, t.day, t.weekday(), t.hour, t.minute, day]
        assert [done[f"d.{part}"][row] for part in parts] == expected


@pytest.mark.parametrize(
    ("rows", "others", "few"),
    [(100, 9, True), (100, 10, False), (2000, 19, True), (2000, 20, False), (1000, 10, False)],
)
def test_a_column_is_nearly_constant_below_10_rows_or_one_in_100(
    rows: int, others: int, few: bool
) -> None:
    column = fitted(TRANSFORMS["robust"](), x=np.repeat([0.0, 2.0], [rows - others, others]))["x"]
    assert column["scale"] == 2.0 and column["mean"] == 0.0
    assert (column.get("range") == [0.0, 2.0]) == few
