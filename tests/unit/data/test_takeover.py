"""A base's statistics stay only after the same transforms with the same settings; all is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from ftune.data import lineage, steps
from ftune.data.frame import Frame
from ftune.data.lineage import Lineage
from ftune.data.schema import Data
from ftune.data.steps import fits_of, kinds_of
from ftune.data.tables import TablePipeline

ReadData = Callable[..., Data]


def table(seed: int, shift: float, size: int = 80) -> Frame:
    dice = np.random.default_rng(seed)
    city = dice.choice(np.array(["Rome", "Oslo"], dtype=object), size)
    day = np.datetime64("2020-01-31T00:00:00", "s") + dice.integers(0, 400, size) * 86400
    columns = {
        "a": np.exp(dice.normal(6, 1, size)) + shift, "b": dice.gamma(2, 3, size) + shift,
        "city": city, "sold": day, "y": np.exp(dice.normal(5, 1, size)) + shift,
    }  # fmt: skip
    return Frame(columns, "t.csv", np.arange(1, size + 1))


OLD, NEW = table(0, 0.0), table(1, 50.0)
A = {"select": ["a", "b"]}


@pytest.fixture
def fitted(read_data: ReadData) -> Callable[..., TablePipeline]:
    def make(
        transforms: Any, frame: Frame, prior: TablePipeline | None = None, **settings: Any
    ) -> TablePipeline:
        plain = {"source": "csv", "path": "t.csv", "target": "y", "transforms": transforms}
        return TablePipeline.fit(read_data(**plain, **settings), frame, "numbers", prior)

    return make


Fitted = Callable[..., TablePipeline]


def numbers(pipeline: TablePipeline, frame: Frame) -> Any:
    return pipeline.inputs(frame).x.double().numpy()


def test_a_mean_of_amounts_is_not_that_of_logarithms(fitted: Fitted) -> None:
    base = fitted([A, "standardize"], OLD)
    tuned = fitted([A, "log", "standardize"], NEW, base)
    logs = np.stack([np.log1p(NEW["a"]), np.log1p(NEW["b"])], axis=1)
    expected = StandardScaler().fit_transform(logs)
    assert np.abs(numbers(tuned, NEW) - expected).max() < 1e-6
    assert tuned.notes == (
        "statistics fitted on the new rows: standardize of `a`, `b` (here after log, in the base"
        " first).",
    )


def test_a_base_chain_is_kept_to_the_bit(fitted: Fitted) -> None:
    chain = [A, "log", {"clip": 0.05}, "standardize"]
    base = fitted(chain, OLD)
    tuned = fitted(chain, table(1, 0.0), base)
    assert [step.state for step in tuned.steps] == [step.state for step in base.steps]
    assert (numbers(tuned, NEW) == numbers(base, NEW)).all()
    assert tuned.notes == ("statistics of the base kept: `a`, `b`.",)


def test_the_control_without_pasts_mixes_them_up(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it was: the first transform of the type gives what it has under the column's name."""

    def by_type(fits: Any, name: str, past: Any, transform: Any) -> Any:
        del past
        same = (fit for fit in fits.get(name, ()) if type(fit.transform) is type(transform))
        return next(same, None)

    monkeypatch.setattr(lineage, "agreeing", by_type)
    base = fitted([A, "standardize"], OLD)
    tuned = fitted([A, "log", "standardize"], NEW, base)
    assert np.abs(numbers(tuned, NEW).mean(0)).max() > 1


def test_order_and_columns_do_not_mix_up(fitted: Fitted) -> None:
    one, two = {"standardize": ["a"]}, {"standardize": ["b"]}
    base = fitted([A, one, two], OLD)
    swapped = fitted([A, two, one], NEW, base)
    assert [dict(s.state) for s in swapped.steps[1:]] == [dict(base.steps[i].state) for i in (2, 1)]
    together = fitted([A, "standardize"], NEW, base)
    assert together.steps[1].state == base.steps[1].state | base.steps[2].state
    turned = fitted([A, "log", {"standardize": ["a"]}], NEW, fitted([A, one, "log"], OLD))
    logs = np.log1p(NEW["a"])[:, None]
    assert np.abs(numbers(turned, NEW)[:, :1] - StandardScaler().fit_transform(logs)).max() < 1e-6


def test_twice_the_same_transform_is_told_apart_by_what_stands_before(fitted: Fitted) -> None:
    chain = [A, "standardize", "log", "standardize"]
    base = fitted(chain, OLD)
    tuned = fitted([A, "log", "standardize"], NEW, base)
    assert tuned.steps[2].state != base.steps[3].state
    again = fitted([*chain, "standardize"], NEW, base)
    assert [step.state for step in again.steps[:4]] == [step.state for step in base.steps]
    assert again.steps[4].state not in [step.state for step in base.steps]


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ({"scale": {"by": 0.5}}, {"scale": {"by": 0.01}}, lambda x: x["a"] * 0.01),
        ({"scale": {"range": [0, 1]}}, {"scale": {"by": 0.01}}, lambda x: x["a"] * 0.01),
        ({"clip": 0.1}, {"clip": {"high": 300}}, lambda x: x["a"].clip(max=300)),
        ({"clip": {"high": 9}}, {"clip": {"low": 2, "high": 300}}, lambda x: x["a"].clip(2, 300)),
        ({"impute": "mean"}, {"impute": {"strategy": "constant", "value": -1}}, lambda x: x["a"]),
    ],
)
def test_what_the_file_states_wins(old: Any, new: Any, check: Any, fitted: Fitted) -> None:
    keep = {"select": ["a"]}
    tuned = fitted([keep, new], NEW, fitted([keep, old], OLD))
    assert np.allclose(numbers(tuned, NEW)[:, 0], check(NEW), rtol=1e-6)
    assert not [note for note in tuned.notes if "fitted" in note or "kept" in note]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ({"quantile": {"quantiles": 9}}, {"quantile": {"quantiles": 20}},
         "quantile of `a` (quantiles 20, in the base 9)"),
        ({"scale": {"range": [0, 1]}}, {"scale": {"range": [-1, 1]}},
         "scale of `a` (range [-1, 1], in the base [0, 1])"),
        ("standardize", "quantile", "quantile of `a` (the base has none)"),
        ({"select": ["a"]}, "standardize", "standardize of `a` (the base has none)"),
    ],
)  # fmt: skip
def test_other_settings_are_fitted_and_said(old: Any, new: Any, why: str, fitted: Fitted) -> None:
    keep = {"select": ["a"]}
    tuned = fitted([keep, new], NEW, fitted([keep, old], OLD))
    assert tuned.notes[0] == f"statistics fitted on the new rows: {why}."
    assert str(tuned.steps[1].state) != str(fitted([keep, old], OLD).steps[1].state)
    assert str(tuned.steps[1].state) == str(fitted([keep, new], NEW).steps[1].state)


def test_a_new_range_is_that_of_scikit_learn(fitted: Fitted) -> None:
    keep = {"select": ["a"]}
    base = fitted([keep, {"scale": {"range": [0, 1]}}], OLD)
    tuned = fitted([keep, {"scale": {"range": [-1, 1]}}], NEW, base)
    expected = MinMaxScaler((-1, 1)).fit_transform(NEW["a"][:, None])
    assert np.abs(numbers(tuned, NEW) - expected).max() < 1e-6


def test_a_transform_that_goes_is_said(fitted: Fitted) -> None:
    tuned = fitted([A], NEW, fitted([A, "standardize"], OLD))
    assert tuned.notes == (
        "statistics of the base not used, as the file has none: standardize of `a`, `b`.",
    )


def test_some_columns_keep_all_and_some_a_part(fitted: Fitted) -> None:
    base = fitted([A, "impute", "standardize"], OLD)
    tuned = fitted([A, "impute", {"log": ["b"]}, "standardize"], NEW, base)
    assert tuned.notes == (
        "statistics of the base kept: `a`; impute of `b`.",
        "statistics fitted on the new rows: standardize of `b` (here after impute, log, in the base"
        " after impute).",
    )


def test_what_stems_from_a_date_follows_it(fitted: Fitted) -> None:
    dates = {"select": ["sold"]}
    base = fitted([dates, "date", "standardize"], OLD)
    tuned = fitted([dates, "date", "standardize"], NEW, base)
    assert tuned.steps[2].state == base.steps[2].state
    other = fitted([dates, {"date": {"parts": ["month"]}}, "standardize"], NEW, base)
    months = NEW["sold"].astype("datetime64[M]").astype(int) % 12 + 1.0
    assert (
        np.abs(numbers(other, NEW) - StandardScaler().fit_transform(months[:, None])).max() < 1e-6
    )
    assert "standardize of `sold`" in other.notes[0]


@pytest.mark.parametrize(
    ("transform", "becomes"),
    [("one_hot", "set no flag"), ("ordinal", "count as unknown"),
     ({"one_hot": {"most": 1}}, "count as `other`")],
)  # fmt: skip
def test_a_category_that_the_base_does_not_list_is_said(
    transform: Any, becomes: str, fitted: Fitted
) -> None:
    city = NEW["city"].copy()
    city[:7], city[7] = "Lima", "Bern"
    new = NEW.with_columns({"city": city})
    chain = [{"select": ["city"]}, transform]
    tuned = fitted(chain, new, fitted(chain, OLD))
    (note,) = [note for note in tuned.notes if "do not list" in note]
    assert "`Lima` (7 rows)" in note and "`Bern` (1 row)" in note and f"they {becomes}." in note
    assert not [n for n in fitted(chain, OLD, fitted(chain, OLD)).notes if f"they {becomes}" in n
                and becomes != "count as `other`"]  # fmt: skip
    refit = fitted(chain, new, fitted(chain, OLD), statistics="refit")
    assert not [note for note in refit.notes if "do not list" in note]


def test_a_declared_type_wins_over_the_base(fitted: Fitted) -> None:
    base = fitted([{"select": ["a"]}, "one_hot"], OLD.with_columns({"a": OLD["city"]}))
    tuned = fitted([{"select": ["a"]}, "standardize"], NEW, base, types={"a": "number"})
    expected = StandardScaler().fit_transform(NEW["a"][:, None])
    assert np.abs(numbers(tuned, NEW) - expected).max() < 1e-6


def test_every_column_has_a_past(fitted: Fitted) -> None:
    """What `makes` tells is what `apply` does."""
    gaps = OLD.with_columns({"a": np.where(np.arange(80) % 9 == 0, np.nan, OLD["a"])})
    chain = [{"date": {"cyclic": True}}, {"impute": {"indicator": True}},
             {"rename": {"b": "kg"}}, "standardize", {"one_hot": {"most": 1}}]  # fmt: skip
    pipeline = fitted(chain, gaps)
    frame = gaps.without(["y"])
    past = Lineage(kinds_of(frame))
    for step in pipeline.steps:
        frame = step.transform.apply(frame, step.state)
        past.take(step.transform, step.state)
        assert all(past.of(name).kind for name in frame.columns), step
    assert past.of("sold.month.sin").root == "sold" and past.of("kg").root == "b"
    assert past.of("a=missing").root == "a" and past.of("city=other").root == "city"
    known = fits_of(pipeline.steps, pipeline.columns)
    assert len(known["sold.month.sin"]) == 2 and "b" in known and "kg" in known


def test_a_base_of_many_columns_is_matched_in_linear_time(fitted: Fitted) -> None:
    """Counted, not timed: each statistic is compared with those of its own column alone."""
    names = [f"c{i}" for i in range(50)]
    frame = Frame(dict.fromkeys(names, OLD["a"]) | {"y": OLD["y"]}, "t.csv", OLD.rows)
    base = fitted(["impute", "standardize"], frame)
    fits = steps.fits_of(base.steps, base.columns)
    assert {len(several) for several in fits.values()} == {2}
