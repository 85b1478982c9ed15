"""A base's statistics stay where they tell the new values apart; elsewhere they are fitted anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from ftune.data.frame import Frame
from ftune.data.schema import Data
from ftune.data.tables import TablePipeline

ReadData = Callable[..., Data]
Fitted = Callable[..., TablePipeline]
ROWS = 400
RNG = np.random.default_rng(7)


def frame(**columns: Any) -> Frame:
    return Frame(columns, "t.csv", np.arange(1, ROWS + 1))


def regression(g: Any) -> Frame:
    x = np.random.default_rng(1).normal(size=ROWS)
    return frame(x=x, g=g, y=x + 2 * g)


NEARLY = regression(np.where(np.arange(ROWS) % 50 == 0, 6.0, 5.0))
LEVELS = regression(RNG.integers(0, 4, ROWS).astype(float))
NEAR, FAR = regression(RNG.normal(10, 2, ROWS)), regression(RNG.normal(30, 2, ROWS))


@pytest.fixture
def fitted(read_data: ReadData) -> Fitted:
    def make(
        transforms: Any, rows: Frame, prior: TablePipeline | None = None, **settings: Any
    ) -> TablePipeline:
        plain = {"source": "csv", "path": "t.csv", "target": "y", "transforms": transforms}
        return TablePipeline.fit(read_data(**(plain | settings)), rows, "numbers", prior)

    return make


def r2(pipeline: TablePipeline, rows: Frame) -> float:
    """Of scikit-learn's least squares on what the model would see."""
    x = pipeline.inputs(rows).x.double().numpy()
    return float(LinearRegression().fit(x, rows["y"]).score(x, rows["y"]))


@pytest.mark.parametrize(
    ("transforms", "old", "new"),
    [
        ("auto", NEARLY, LEVELS),
        ("auto", NEAR, FAR),
        (["quantile"], NEAR, FAR),
        ([{"clip": 0.05}], NEAR, FAR),
        (["robust"], FAR, NEAR),
        ([{"clip": 0.05}, "robust"], NEAR, FAR),
    ],
)
def test_columns_that_lie_elsewhere_are_fitted_anew(
    fitted: Fitted, transforms: Any, old: Frame, new: Frame
) -> None:
    base = fitted(transforms, old)
    tuned = fitted(transforms, new, base)
    assert r2(tuned, new) == pytest.approx(r2(fitted(transforms, new), new), abs=0.01)
    assert r2(tuned, new) > 0.9
    said = [note for note in tuned.notes if "hardly tell them apart" in note]
    assert "of 400 of `g`. Fitted anew" in said[0] and "`x`" not in said[0]
    assert any(note.startswith("statistics of the base kept: `x`") for note in tuned.notes)
    assert any("`g` (those of the base lie elsewhere)" in note for note in tuned.notes)
    forced = fitted(transforms, new, base, statistics="keep")
    assert r2(forced, new) < r2(tuned, new) - 0.01, "control: the base's statistics lose `g`"
    assert "The base's statistics stay" in " ".join(forced.notes)


def test_a_share_beyond_is_told_and_changes_nothing(fitted: Fitted) -> None:
    g = np.where(np.arange(ROWS) % 5 == 0, 60.0, NEAR["g"])
    base, new = fitted("auto", NEAR), regression(g)
    tuned = fitted("auto", new, base)
    assert [s.state for s in tuned.steps] == [s.state for s in base.steps]
    assert [n for n in tuned.notes if "apart" in n] == [
        "robust: training values lie where the base's statistics hardly tell them apart: 80 of 400"
        " of `g`. The base's statistics stay; `data.statistics: refit` fits them anew."
    ]
    again = fitted("auto", regression(np.random.default_rng(3).normal(10, 2, ROWS)), base)
    assert not [n for n in again.notes if "apart" in n], "control: rows like the base's"


def test_bounds_that_the_file_states_hold(fitted: Fitted) -> None:
    chain = [{"clip": {"low": 5.0, "high": 15.0}}, {"scale": {"by": 0.1}}]
    tuned = fitted(chain, FAR, fitted(chain, NEAR))
    assert float(tuned.inputs(FAR).x[:, 1].max()) == 1.5
    assert not [n for n in tuned.notes if "apart" in n]
    half = [{"clip": {"low": 5.0, "quantile": 0.05}}]
    tuned = fitted(half, FAR, fitted(half, NEAR))
    assert tuned.steps[0].state["g"]["low"] == 5.0
    assert tuned.steps[0].state["g"]["high"] == pytest.approx(np.quantile(FAR["g"], 0.95))


def test_targets_that_lie_elsewhere(fitted: Fitted) -> None:
    settings: dict[str, Any] = {"target_transforms": [{"clip": 0.05}, "standardize"]}
    tuned = fitted(["standardize"], FAR, fitted(["standardize"], NEAR, **settings))
    bounds = tuned.target_steps[0].state["y"]
    assert bounds["high"] == pytest.approx(np.quantile(FAR["y"], 0.95))
    assert any("of 400 of `y`. Fitted anew" in note for note in tuned.notes)
    assert float(tuned.target_tensor(FAR).std()) > 0.5, "control: they are still told apart"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            ["log"],
            [],
            "transformed otherwise than in the base: `g`, `x` (nothing; in the base log).",
        ),
        (
            [{"scale": {"by": 0.1}}],
            [{"scale": {"by": 0.01}}],
            "transformed otherwise than in the base: `g`, `x` (scale {by: 0.01}; in the base scale"
            " {by: 0.1}).",
        ),
        (
            [{"clip": {"quantile": 0.1}}],
            [{"clip": {"high": 20}}],
            "transformed otherwise than in the base: `g`, `x` (clip {high: 20}; in the base clip"
            " {quantile: 0.1}).",
        ),
    ],
)  # fmt: skip
def test_what_the_file_states_instead_is_told(
    fitted: Fitted, old: Any, new: Any, said: str
) -> None:
    rows = frame(g=np.abs(NEAR["g"]), x=np.abs(NEAR["x"]), y=NEAR["y"])
    base = fitted([{"select": ["g", "x"]}, *old], rows)
    chain = [{"select": ["g", "x"]}, *new]
    assert said in fitted(chain, rows, base).notes
    assert not [
        n for n in fitted([{"select": ["g", "x"]}, *old], rows, base).notes if "otherw" in n
    ]


def test_flags_and_parts_that_the_base_has_no_room_for_are_told(fitted: Fitted) -> None:
    chain = ["date", {"impute": {"indicator": True}}, "standardize"]
    day = np.datetime64("2020-03-01", "s") + np.arange(ROWS) % 28 * 86400
    old = frame(g=NEAR["g"], sold=day, y=NEAR["y"])
    gaps = np.where(np.arange(ROWS) % 4 == 0, np.nan, NEAR["g"])
    new = frame(g=gaps, sold=day + np.arange(ROWS) % 60 * 86400, y=NEAR["y"])
    base = fitted(chain, old)
    tuned = fitted(chain, new, base)
    assert (
        "date: parts that vary now but did not in the base's rows are not made: `sold.month`;"
        " `data.statistics: refit` makes them." in tuned.notes
    )
    assert (
        "impute: columns with gaps that the base's rows did not have get no flag: `g` (100);"
        " `data.statistics: refit` makes it." in tuned.notes
    )
    assert not [n for n in fitted(chain, old, base).notes if "not made" in n or "no flag" in n]
    refit = fitted(chain, new, base, statistics="refit")
    assert {"g=missing", "sold.month"} <= set(refit.features.names or ()), "control: made anew"
