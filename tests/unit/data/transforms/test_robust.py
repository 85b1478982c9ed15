"""`robust`: scikit-learn's quartiles, soft bounds, and nearly constant columns."""

from __future__ import annotations

import numpy as np
import pytest

from ftune.data.frame import Array, Frame, State
from ftune.data.transforms.robust import NORMAL, Robust

RNG = np.random.default_rng(0)


def frame(x: Array) -> Frame:
    return Frame({"x": x}, "t.csv", np.arange(1, len(x) + 1))


def fit(x: Array) -> State:
    return Robust().fit(frame(x), None)


def apply(x: Array, state: State) -> Array:
    return Robust().apply(frame(x), state)["x"]


@pytest.mark.parametrize("x", [RNG.normal(5, 3, 400), RNG.gamma(2, 3, 401), RNG.random(20)])
def test_equals_scikit_learn_and_the_published_bound(x: Array) -> None:
    from scipy.stats import norm  # type: ignore[import-untyped]
    from sklearn.preprocessing import RobustScaler

    assert norm.ppf(0.75) - norm.ppf(0.25) == pytest.approx(NORMAL, rel=1e-12)
    z = RobustScaler(unit_variance=True).fit_transform(x[:, None])[:, 0]
    np.testing.assert_allclose(apply(x, fit(x)), z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-9)


def test_no_value_goes_beyond_the_bound_and_the_order_stays() -> None:
    x = np.append(RNG.normal(size=500), [1e3, 1e9, 1e300, -1e300])
    done = apply(x, fit(x))
    assert np.abs(done).max() <= 3.0
    assert (np.diff(done[np.argsort(x)]) >= 0).all()
    assert fit(x)["x"]["far"] == 4
    assert Robust().notes(fit(x)) == [
        "robust: training values more than 6 deviations from the median were drawn in: `x` (4)."
    ]


def test_missing_and_infinite_values_stay_what_they_are() -> None:
    for column in (RNG.normal(size=50), np.append(np.full(50, 37.0), 38.0)):
        done = apply(np.array([np.nan, np.inf, -np.inf]), fit(column))
        assert np.isnan(done[0]) and done[1] == np.inf and done[2] == -np.inf


def test_a_nearly_constant_column_ends_where_its_training_rows_do() -> None:
    fares = np.append(np.full(499, 37.0), 38.0)
    done = apply(np.array([37.0, 38.0, 266.0, -5.0]), fit(fares))
    assert done[0] == done[3] == 0 and 0 < done[1] == done[2] < 1
    assert Robust().notes(fit(fares)) == [
        "robust: nearly constant columns, of which values beyond the range of the training rows"
        " count as its ends: `x` (37 to 38, 1 row differs)."
    ]
    deviation = (266.0 - fares.mean()) / fares.std()
    assert deviation > 5000  # the control: what standardize made of it


def test_a_column_of_mostly_zeros_is_scaled_by_the_others() -> None:
    """capital_gain of the census: the quartiles say nothing, the largest amount too much."""
    x = np.concatenate([np.zeros(900), RNG.gamma(5, 1000, 95), np.full(5, 99999.0)])
    state = fit(x)["x"]
    assert state["scale"] == pytest.approx(np.median(x[900:])) and "range" not in state
    done = apply(x, fit(x))
    assert 0.5 < np.median(done[900:]) < 1.5 and done.max() < 3.0


@pytest.mark.parametrize("share", [0.5, 0.3, 0.1, 0.002])
def test_flags_of_numbers_stay_small(share: float) -> None:
    """The control is the deviation: at 2 of 1,000 it gives 22."""
    x = (np.arange(1000) < 1000 * share).astype(float)
    done = apply(x, fit(x))
    assert 0.5 < done.max() - done.min() < 1.5


def test_an_array_is_standardized_as_ever() -> None:
    from ftune.data.transforms.standardize import Standardize

    image = RNG.random((10, 4, 4)).astype(np.float32)
    state = fit(image)
    assert state == Standardize().fit(frame(image), None)
    assert apply(image, state).dtype == np.float32
    np.testing.assert_array_equal(
        apply(image, state), Standardize().apply(frame(image), state)["x"]
    )
