"""Every transform of the table: fitted on train only, exact through JSON, kept from a base."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from ftune.data import TRANSFORMS
from ftune.data.frame import Array, Frame
from ftune.data.schema import Data
from ftune.data.steps import fit_steps
from ftune.data.tables import TablePipeline
from ftune.errors import DataError

ReadData = Callable[..., Data]

LEARNS = {
    "auto",
    "impute",
    "standardize",
    "robust",
    "quantile",
    "clip",
    "scale",
    "one_hot",
    "ordinal",
    "date",
}
"""Transforms whose state depends on the values; the others only on the columns."""

CASES: dict[str, tuple[str, list[Any]]] = {
    "auto": ("table", ["auto"]),
    "select": ("table", [{"select": ["a", "b"]}, "impute"]),
    "drop": ("table", [{"drop": ["city", "sold"]}, "impute"]),
    "rename": ("table", [{"select": ["a"]}, {"rename": {"a": "amount"}}, "impute"]),
    "impute": ("table", [{"drop": ["sold"]}, {"impute": "mean", "indicator": True}, "one_hot"]),
    "standardize": ("table", [{"select": ["b"]}, "standardize"]),
    "robust": ("table", [{"select": ["b"]}, "robust"]),
    "drop_constant": ("table", [{"select": ["a", "b"]}, "drop_constant", "impute"]),
    "quantile": ("table", [{"select": ["b"]}, {"quantile": {"quantiles": 20}}]),
    "clip": ("table", [{"select": ["b"]}, {"clip": 0.1}]),
    "log": ("table", [{"select": ["b"]}, "log"]),
    "scale": ("table", [{"select": ["b"]}, {"scale": {"range": [-1.0, 1.0]}}]),
    "one_hot": ("table", [{"select": ["city"]}, "impute", {"one_hot": {"min_count": 3}}]),
    "ordinal": ("table", [{"select": ["city", "b"]}, "ordinal"]),
    "date": ("table", [{"select": ["sold"]}, {"date": {"cyclic": True}}]),
    "resize": ("images", [{"resize": [5, 3]}]),
    "flatten": ("images", ["flatten"]),
}


def table(size: int, seed: int, shift: float = 0.0) -> Frame:
    rng = np.random.default_rng(seed)
    a = rng.normal(shift, 2, size)
    a[::7] = np.nan
    city = rng.choice(np.array(["Rome", "Oslo", "Bern"], dtype=object), size)
    city[::9] = None
    city[5] = f"rare{seed}"
    if shift:
        city[10:17] = "Lima"
    day = np.datetime64("2020-01-31T00:00:00", "s")
    sold = day + rng.integers(0, 400, size) * 86400 + (3600 if shift else 0)
    columns = {"a": a, "b": rng.gamma(2, 3, size) + shift, "city": city, "sold": sold}
    return Frame({**columns, "y": rng.normal(size=size)}, "t.csv", np.arange(1, size + 1))


def images(size: int, seed: int, shift: float = 0.0) -> Frame:
    rng = np.random.default_rng(seed)
    image = (rng.random((size, 4, 6)) + shift).astype(np.float32)
    return Frame({"image": image, "y": rng.normal(size=size)}, "t.npz", np.arange(1, size + 1))


MAKE = {"table": table, "images": images}


def fitted(
    read: ReadData, name: str, train: Frame, prior: TablePipeline | None = None
) -> TablePipeline:
    plain = {"source": "csv", "path": "t.csv", "target": "y", "statistics": "keep"}
    data = read(**plain, transforms=CASES[name][1])
    return TablePipeline.fit(data, train, "numbers", prior)


def both(a: Frame, b: Frame) -> Frame:
    columns = {name: np.concatenate([a[name], b[name]]) for name in a.columns}
    return Frame(columns, a.origin, np.arange(1, len(a) + len(b) + 1))


def state(pipeline: TablePipeline) -> str:
    arrays = {name: array.tolist() for name, array in pipeline.arrays().items()}
    return json.dumps([[step["state"] for step in pipeline.to_json()["steps"]], arrays])


def test_every_transform_has_a_case() -> None:
    tables = {n for n in TRANSFORMS if "table" in getattr(TRANSFORMS[n], "kinds", ("table",))}
    assert set(CASES) == tables, "each transform of tables has a case in CASES, above"


@pytest.mark.parametrize("name", CASES)
def test_round_trip_is_bit_equal(name: str, read_data: ReadData) -> None:
    make = MAKE[CASES[name][0]]
    pipeline = fitted(read_data, name, make(60, 0))
    again = TablePipeline.restore(json.loads(json.dumps(pipeline.to_json())), pipeline.arrays())
    new = make(30, 1)
    assert torch.equal(pipeline.inputs(new).x, again.inputs(new).x)
    assert again.features == pipeline.features and again.target == pipeline.target
    assert all(a.dtype == np.float64 and a.ndim == 1 for a in pipeline.arrays().values())
    x = pipeline.inputs(new).x
    assert x.dtype == torch.float32 and x.shape == (30, *pipeline.features.shape)


@pytest.mark.parametrize("name", sorted(LEARNS))
def test_statistics_depend_on_the_rows_fitted(name: str, read_data: ReadData) -> None:
    """The control: with the validation rows included the statistics are others."""
    make = MAKE[CASES[name][0]]
    train, val = make(60, 0), make(60, 1, shift=50.0)
    alone = fitted(read_data, name, train)
    alone.inputs(val)
    assert state(alone) == state(fitted(read_data, name, train))
    assert state(alone) != state(fitted(read_data, name, both(train, val)))


@pytest.mark.parametrize("name", sorted(LEARNS))
def test_prior_keeps_statistics_by_name(name: str, read_data: ReadData) -> None:
    make = MAKE[CASES[name][0]]
    base, new = make(60, 0), make(60, 1, shift=50.0)
    prior = fitted(read_data, name, base)
    kept = fitted(read_data, name, new, prior)
    assert state(kept) == state(prior)
    assert state(fitted(read_data, name, new)) != state(prior)


def test_prior_fits_only_the_new_column(read_data: ReadData) -> None:
    data = read_data(source="csv", path="t.csv", target="y", transforms=["standardize"])
    base = table(60, 0).without(["a", "city", "sold"])
    new = table(60, 1, shift=50.0).without(["city", "sold"])
    new = new.with_columns({"a": np.nan_to_num(new["a"])})
    prior = TablePipeline.fit(data, base, "numbers")
    kept = TablePipeline.fit(data, new, "numbers", prior).steps[0].state
    assert kept["b"] == prior.steps[0].state["b"]
    assert kept["a"] == TablePipeline.fit(data, new, "numbers").steps[0].state["a"]


def test_refit_ignores_the_base(read_data: ReadData) -> None:
    plain = {"source": "csv", "path": "t.csv", "target": "y", "transforms": ["auto"]}
    prior = TablePipeline.fit(read_data(**plain), table(60, 0), "numbers")
    new = table(60, 1, shift=50.0)
    refit = TablePipeline.fit(read_data(**plain, statistics="refit"), new, "numbers", prior)
    assert state(refit) == state(TablePipeline.fit(read_data(**plain), new, "numbers"))


def apply(transform: Any, frame: Frame) -> Frame:
    return fit_steps([transform], frame)[1]


def variant(name: str, **settings: Any) -> Any:
    return TRANSFORMS[name](**settings)


def only(**columns: Array) -> Frame:
    length = len(next(iter(columns.values())))
    return Frame(columns, "t.csv", np.arange(1, length + 1))


X = np.random.default_rng(0).gamma(2, 3, 200)


def test_standardize_equals_sklearn() -> None:
    from sklearn.preprocessing import StandardScaler

    expected = StandardScaler().fit_transform(X[:, None])[:, 0]
    np.testing.assert_allclose(apply(variant("standardize"), only(x=X))["x"], expected, rtol=1e-12)
    constant = apply(variant("standardize"), only(x=np.full(9, 0.1)))["x"]
    assert np.abs(constant).max() < 1e-15


def test_standardize_gives_an_image_one_scalar() -> None:
    image = np.random.default_rng(0).random((10, 4, 4)).astype(np.float32) * np.arange(4)
    done = apply(variant("standardize"), only(image=image.astype(np.float32)))["image"]
    assert done.dtype == np.float32
    assert abs(done.mean()) < 1e-6 and abs(done.std() - 1) < 1e-5
    assert done.std(axis=(0, 1)).min() < 0.5


@pytest.mark.parametrize("to", ["normal", "uniform"])
def test_quantile_equals_sklearn(to: str) -> None:
    from sklearn.preprocessing import QuantileTransformer

    values = np.concatenate([X, np.repeat(3.0, 40)])
    theirs = QuantileTransformer(n_quantiles=50, output_distribution=to, subsample=None)
    theirs.fit(values[:, None])
    ours = variant("quantile", to=to, quantiles=50)
    fit = ours.fit(only(x=values), None)
    new = np.concatenate([values, [-5.0, 99.0]])
    done = ours.apply(only(x=new), fit)["x"]
    np.testing.assert_allclose(done, theirs.transform(new[:, None])[:, 0], atol=1e-9)


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent"])
def test_impute_equals_sklearn(strategy: str) -> None:
    from sklearn.impute import SimpleImputer

    values = np.where(np.arange(200) % 5 == 0, np.nan, X.round())
    expected = SimpleImputer(strategy=strategy).fit_transform(values[:, None])[:, 0]
    done = apply(variant("impute", strategy=strategy), only(x=values))
    np.testing.assert_allclose(done["x"], expected)


def test_impute_text_and_indicator() -> None:
    city = np.array(["a", None, "b", "b"], dtype=object)
    frame = only(city=city, x=np.arange(4.0), y=np.array([1, np.nan, 3, 4]))
    done = apply(variant("impute", indicator=True), frame)
    assert list(done.columns) == ["city", "x", "y", "y=missing"]
    assert done["city"].tolist() == ["a", "missing", "b", "b"]
    assert done["y=missing"].tolist() == [0, 1, 0, 0]
    frequent = apply(variant("impute", strategy="most_frequent", indicator=True), frame)
    assert frequent["city"].tolist() == ["a", "b", "b", "b"]
    assert frequent["city=missing"].tolist() == [0, 1, 0, 0]
    constant = variant("impute", strategy="constant", value=-1.0)
    assert apply(constant, only(x=np.array([np.nan, 2.0])))["x"].tolist() == [-1.0, 2.0]


def test_one_hot_equals_sklearn_and_knows_other() -> None:
    from sklearn.preprocessing import OneHotEncoder

    city = np.random.default_rng(0).choice(np.array(list("abcd"), dtype=object), 50)
    done = apply(variant("one_hot"), only(city=city))
    expected = OneHotEncoder(sparse_output=False).fit_transform(city[:, None])
    np.testing.assert_array_equal(np.stack(list(done.columns.values()), 1), expected)
    assert list(done.columns) == ["city=a", "city=b", "city=c", "city=d"]

    few = only(city=np.array(["a", "a", "b", "c"], dtype=object))
    new = only(city=np.array(["a", "b", "z"], dtype=object))
    rare = variant("one_hot", min_count=2)
    flags = rare.apply(new, rare.fit(few, None))
    assert {n: c.tolist() for n, c in flags.columns.items()} == {
        "city=a": [1, 0, 0],
        "city=other": [0, 1, 1],
    }
    plain = variant("one_hot")
    unknown = plain.apply(new, plain.fit(few, None))
    assert [int(c[2]) for c in unknown.columns.values()] == [0, 0, 0]


def test_one_hot_with_a_category_called_other() -> None:
    frame = only(city=np.array(["other", "other", "a", "a", "b"], dtype=object))
    done = apply(variant("one_hot", min_count=2), frame)
    assert done["city=other"].tolist() == [1, 1, 0, 0, 1]


def test_ordinal_keeps_zero_for_unknown() -> None:
    ordinal = variant("ordinal")
    fit = ordinal.fit(only(c=np.array(["b", "a", None], dtype=object)), None)
    new = only(c=np.array(["a", "b", "z", None], dtype=object))
    assert ordinal.apply(new, fit)["c"].tolist() == [1, 2, 0, 0]


def test_categories_reach_the_features_and_standardize_leaves_them(read_data: ReadData) -> None:
    transforms = ["ordinal", "impute", {"drop": ["sold"]}, "standardize"]
    data = read_data(source="csv", path="t.csv", target="y", transforms=transforms)
    pipeline = TablePipeline.fit(data, table(60, 0), "numbers")
    assert pipeline.features.names == ("a", "b", "city")
    assert pipeline.features.categories == {"city": 5}
    codes = pipeline.inputs(table(60, 0)).x[:, 2]
    assert set(codes.tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0}


def test_date_parts_equal_the_calendar() -> None:
    import datetime

    moments = ["2021-03-01T13:45:00", "1969-12-31T23:59:00", "2024-02-29T00:00:00"]
    frame = only(d=np.array([*moments, "NaT"], dtype="datetime64[s]"))
    parts = ["year", "month", "day", "weekday", "hour", "minute", "day_of_year"]
    done = apply(variant("date", parts=parts), frame)
    for i, text in enumerate(moments):
        t = datetime.datetime.fromisoformat(text)
        expected = [t.year, t.month, t.day, t.weekday(), t.hour, t.minute, t.timetuple().tm_yday]
        assert [done[f"d.{part}"][i] for part in parts] == expected
    assert all(np.isnan(column[3]) for column in done.columns.values())
    days = only(d=np.array(moments, dtype="datetime64[D]").astype("datetime64[s]"))
    assert "d.hour" not in apply(variant("date"), days).columns
    assert "d.hour" in apply(variant("date"), frame.take(np.arange(3))).columns


def test_resize_equals_torch() -> None:
    image = np.random.default_rng(0).random((3, 8, 8)).astype(np.float32)
    x = torch.from_numpy(image)[:, None]
    up = torch.nn.functional.interpolate(x, (10, 10), mode="bilinear")[:, 0].numpy()
    np.testing.assert_array_equal(apply(variant("resize", size=10), only(i=image))["i"], up)
    down = apply(variant("resize", size=[4, 2]), only(i=image[:, None]))["i"]
    assert down.shape == (3, 1, 4, 2)
    np.testing.assert_allclose(down.mean(), image.mean(), atol=0.02)


def test_flatten_names_every_number(read_data: ReadData) -> None:
    data = read_data(source="npz", path="t.npz", target="y", transforms=["flatten"])
    pipeline = TablePipeline.fit(data, images(5, 0), "numbers")
    assert pipeline.features.shape == (24,)
    assert pipeline.features.names is not None and pipeline.features.names[23] == "image[23]"
    plain = read_data(source="npz", path="t.npz", target="y", transforms=[])
    assert TablePipeline.fit(plain, images(5, 0), "numbers").features.shape == (1, 4, 6)


@pytest.mark.parametrize(
    "transform",
    [
        variant("standardize"),
        variant("log"),
        variant("scale", by=0.25),
        variant("scale", range=[0.0, 1.0]),
        variant("quantile", to="normal"),
        variant("quantile", to="uniform"),
        variant("clip", low=-1e9),
    ],
)
def test_inverse(transform: Any) -> None:
    frame = only(x=X)
    fit = transform.fit(frame, None)
    back = transform.invert(transform.apply(frame, fit)["x"], fit["x"])
    np.testing.assert_allclose(back, X, rtol=1e-5)


def test_targets_and_their_way_back(read_data: ReadData) -> None:
    data = read_data(
        source="csv", path="t.csv", target=["b", "a"], transforms=[{"select": ["y"]}],
        target_transforms=[{"log": ["b"]}, "standardize"],
    )  # fmt: skip
    frame = table(60, 0)
    frame = frame.with_columns({"a": np.nan_to_num(frame["a"])})
    pipeline = TablePipeline.fit(data, frame, "numbers")
    y = pipeline.target_tensor(frame)
    assert y.dtype == torch.float32 and y.shape == (60, 2)
    assert y.mean(0).abs().max() < 1e-6
    back = pipeline.invert(y)
    np.testing.assert_allclose(back[:, 0], frame["b"], rtol=1e-5)
    np.testing.assert_allclose(back[:, 1], frame["a"], rtol=1e-4, atol=1e-5)
    again = TablePipeline.restore(pipeline.to_json(), pipeline.arrays())
    assert torch.equal(again.invert(y), back)


def test_transforms_name_the_missing_column(read_data: ReadData) -> None:
    data = read_data(source="csv", path="t.csv", target="y", transforms=[{"drop": ["citty"]}])
    with pytest.raises(DataError, match="`citty`; did you mean `city`"):
        TablePipeline.fit(data, table(60, 0), "numbers")


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        (["standardize", {"drop": ["city", "sold"]}], "`a`: missing values in 9 rows.*impute"),
        ([{"select": ["b", "city"]}], "texts cannot be inputs: column `city`.*one_hot"),
        ([{"select": ["sold"]}], "dates cannot be inputs: column `sold`"),
        ([{"select": ["city"]}, "one_hot"], "missing values in 7 rows.*impute"),
        ([{"standardize": ["city"]}], "holds texts, not numbers"),
        ([{"rename": {"a": "b"}}], "`a` would become b"),
        ([{"drop": ["a", "b", "city", "sold"]}], "leave no column"),
        ([{"resize": 3, "columns": ["a"]}], "is no image"),
    ],
)
def test_what_cannot_become_inputs(
    transforms: list[Any], message: str, read_data: ReadData
) -> None:
    data = read_data(source="csv", path="t.csv", target="y", transforms=transforms)
    frame = table(60, 0)
    with pytest.raises(DataError, match=message):
        TablePipeline.fit(data, frame, "numbers").inputs(frame)
