"""Columns that are large beside their spread are centred without rounding."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ftune.data import TRANSFORMS
from ftune.data.frame import Array, Frame
from ftune.data.transforms.exact import mean_of
from ftune.errors import DataError

HUGE = [1700000000123456789.0, 1.2345678901234568e22, -9007199254740993.0, 0.1, 1e-300, 37.0]
NANOSECONDS = 1.7e18 + 256.0 * np.random.default_rng(0).integers(0, 50, 1001)


def frame(**columns: Array) -> Frame:
    return Frame(columns, "t.csv", np.arange(1, len(next(iter(columns.values()))) + 1))


def apply(name: str, values: Array, **settings: Any) -> Array:
    transform, rows = TRANSFORMS[name](**settings), frame(x=values)
    applied: Array = transform.apply(rows, transform.fit(rows, None))["x"]
    return applied


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize("rows", [2, 3, 1000, 1667])
def test_a_constant_column_becomes_exactly_0(value: float, rows: int) -> None:
    values = np.full(rows, value)
    assert not apply("standardize", values).any()
    assert not apply("robust", values).any()
    assert not apply("quantile", values).any()
    assert (apply("quantile", values, to="uniform") == 0.5).all()
    assert (apply("scale", values, range=[0.1, 1.0]) == 0.1).all()
    with_gap = np.append(values, np.nan)
    assert (apply("impute", with_gap, strategy="mean") == value).all()


def test_the_plain_mean_of_a_constant_is_another_number() -> None:
    """The control: what version 0.1 subtracted."""
    values = np.full(1667, HUGE[0])
    assert (values - values.mean()).any()


def test_mean_is_that_of_exact_arithmetic() -> None:
    mean, rest = mean_of(NANOSECONDS)
    exact = sum(map(Fraction, NANOSECONDS.tolist())) / len(NANOSECONDS)
    assert abs(float(Fraction(mean) + Fraction(rest) - exact)) < 1e-9
    assert abs(float(Fraction(mean) - exact)) > 1e-3  # one float64 alone cannot hold it


def test_timestamps_that_hardly_vary_equal_scikit_learn_after_a_shift() -> None:
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    shifted = (NANOSECONDS - NANOSECONDS[0])[:, None]
    done = apply("standardize", NANOSECONDS)
    np.testing.assert_allclose(done, StandardScaler().fit_transform(shifted)[:, 0], atol=1e-12)
    ranged = MinMaxScaler((-1, 1)).fit_transform(shifted)[:, 0]
    np.testing.assert_allclose(apply("scale", NANOSECONDS, range=[-1.0, 1.0]), ranged, atol=1e-12)
    unshifted = StandardScaler().fit_transform(NANOSECONDS[:, None])[:, 0]
    assert np.abs(done - unshifted).max() > 1e-6  # the control


@pytest.mark.parametrize(
    ("name", "column", "expected"),
    [
        ("standardize", {"mean": 3.0, "scale": 2.0}, 1.0),
        ("scale", {"factor": 0.5, "offset": -1.0}, 1.5),
    ],
)
def test_statistics_of_version_0_1_give_what_they_gave(
    name: str, column: dict[str, float], expected: float
) -> None:
    settings = {"range": [0.0, 1.0]} if name == "scale" else {}
    transform = TRANSFORMS[name](**settings)
    done = transform.apply(frame(x=np.array([5.0])), {"x": column})["x"]
    assert done.tolist() == [expected]
    assert transform.invert(done, column).tolist() == [5.0]


@pytest.mark.parametrize(("name", "settings"), [("standardize", {}), ("scale", {"range": [0, 1]})])
def test_the_way_back_from_timestamps(name: str, settings: dict[str, Any]) -> None:
    transform, rows = TRANSFORMS[name](**settings), frame(x=NANOSECONDS)
    state = transform.fit(rows, None)
    back = transform.invert(transform.apply(rows, state)["x"], state["x"])
    assert np.abs(back - NANOSECONDS).max() <= 256


@pytest.mark.parametrize("unit", [1e300, 1e-300])
def test_squares_beyond_a_float64_do_not_flatten_a_column(unit: float) -> None:
    """The reference: scikit-learn, of the column in another unit."""
    from sklearn.preprocessing import StandardScaler

    steps = np.arange(60.0) % 7
    expected = StandardScaler().fit_transform(steps[:, None])[:, 0]
    values = steps * unit
    np.testing.assert_allclose(
        apply("standardize", values), expected, atol=0.2 * (unit < 1e-320) + 1e-9
    )
    with np.errstate(over="ignore", under="ignore"):
        assert not 0 < values.std() < np.inf  # the control


@pytest.mark.parametrize("name", ["standardize", "robust", "quantile", "impute"])
def test_a_column_wider_than_a_float64_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="column `x`: from -1e\\+308 to 1e\\+308 is more than"):
        apply(name, np.array([1e308, -1e308] * 10))
