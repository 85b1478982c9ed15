"""Metrics, fitted transforms, weights of classes and splits against scikit-learn."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import impute, metrics, model_selection, preprocessing
from support.differential import Table, agrees, each

import ftune
from ftune.assembly.build import read_data
from ftune.schema.root import LANGUAGE

ROWS = 60
Columns = Mapping[str, list[Any]]


def _write(file: Path, columns: Columns) -> None:
    rows = zip(*columns.values(), strict=True)
    lines = [",".join("" if v is None else str(v) for v in row) for row in rows]
    file.write_text("\n".join([",".join(columns), *lines]) + "\n", encoding="utf-8")


def _trained(columns: Columns, task: Any, target: Any, folder: Path, **data: Any) -> dict[str, Any]:
    """The validation metrics of a short training, and what `predict` says of the same rows."""
    _write(folder / "train.csv", columns)
    _write(folder / "val.csv", {name: values[: ROWS // 2] for name, values in columns.items()})
    config = {
        "task": task,
        "data": {"source": "csv", "target": target, **data,
                 "path": {part: str(folder / f"{part}.csv") for part in ("train", "val")}},
        "model": {"name": "mlp", "hidden": [4]},
        "optimizer": {"name": "adam", "lr": 0.1},
        "train": {"steps": 5, "batch_size": 16}, "runtime": {"threads": 1, "device": "cpu"},
    }  # fmt: skip
    summary = ftune.run("optimize", config, out=folder / "run")
    predictions = ftune.load(folder / "run").predict(folder / "val.csv")
    return {"metrics": summary["metrics"]["val"], "predicted": predictions}


def _features(rng: np.random.Generator) -> dict[str, list[Any]]:
    return {name: list(map(float, rng.normal(size=ROWS))) for name in "ab"}


def _classes(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    """Accuracy, macro F1 (scikit-learn's default labels) and log loss of one class a row."""
    y = [str(v) for v in rng.choice(["u", "v", "w", "x"], ROWS, p=[0.6, 0.3, 0.07, 0.03])]
    y[:4] = ["u", "v", "u", "v"]
    y[-2:] = ["w", "x"]
    with tempfile.TemporaryDirectory() as place:
        result = _trained({**_features(rng), "y": y}, "classification", "y", Path(place))
    truth, found = y[: ROWS // 2], result["predicted"]
    names = [name.split("/")[1] for name in found if name.startswith("probability/")]
    shares = np.stack([found[f"probability/{name}"] for name in names], axis=1)
    labels = names if broken else None  # absent classes as zeros
    theirs = [
        metrics.accuracy_score(truth, found["prediction"]),
        metrics.f1_score(truth, found["prediction"], labels=labels, average="macro",
                         zero_division=0),
        metrics.log_loss(truth, shares, labels=names),
    ]  # fmt: skip
    return [result["metrics"][name] for name in ("accuracy", "macro_f1", "loss")], theirs


def _labels(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    """Several labels a row, one of which no validation row has."""
    names = ["p", "q", "r"]
    y = {name: [int(v) for v in rng.random(ROWS) < 0.5] for name in names}
    y["r"][: ROWS // 2] = [0] * (ROWS // 2)
    y["p"][:2], y["q"][:2], y["r"][-2:] = [0, 1], [0, 1], [0, 1]
    task = {"name": "classification", "multi_label": True}
    with tempfile.TemporaryDirectory() as place:
        result = _trained({**_features(rng), **y}, task, names, Path(place))
    truth = np.array([y[name][: ROWS // 2] for name in names]).T
    found = np.array([result["predicted"][name] for name in names]).T
    present = [i for i in range(3) if truth[:, i].any()] if broken else None
    theirs = [
        (truth == found).mean(),
        metrics.accuracy_score(truth, found),
        metrics.f1_score(truth, found, labels=present, average="macro", zero_division=0),
    ]
    return [result["metrics"][name] for name in ("accuracy", "exact", "macro_f1")], theirs


TARGETS: list[list[Any]] = [
    [], ["standardize"], ["log", "standardize"], [{"clip": 0.1}, "standardize"], ["quantile"],
    [{"scale": {"by": 0.01}}],
]  # fmt: skip


def _numbers(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    """Errors in the user's own values, whatever was done to the targets for training."""
    y = list(map(float, np.exp(rng.normal(3, 1.5, ROWS))))
    steps = [{"clip": 0.2}] if broken else TARGETS[rng.integers(len(TARGETS))]
    with tempfile.TemporaryDirectory() as place:
        result = _trained(
            {**_features(rng), "y": y}, "regression", "y", Path(place), target_transforms=steps
        )
    truth, found = np.array(y[: ROWS // 2]), result["predicted"]["y"]
    if broken:  # the truth as the model saw it
        truth = np.clip(truth, *np.quantile(y, [0.2, 0.8]))
    theirs = [
        metrics.root_mean_squared_error(truth, found),
        metrics.mean_absolute_error(truth, found),
        metrics.r2_score(truth, found),
    ]
    return [result["metrics"][name] for name in ("rmse", "mae", "r2")], theirs


def _fitted(columns: Columns, transforms: list[Any]) -> Any:
    """What a table becomes: [rows, features] float64."""
    with tempfile.TemporaryDirectory() as place:
        _write(Path(place) / "t.csv", {**columns, "y": [i % 2 for i in range(ROWS)]})
        config = LANGUAGE.of({
            "task": "regression",
            "data": {"source": "csv", "path": f"{place}/t.csv", "target": "y",
                     "split": {"val": 0, "test": 0}, "transforms": transforms},
        })  # fmt: skip
        split = read_data(config).train
        return split.x.double().numpy()[split.rows.argsort()]


def _transform(
    rng: np.random.Generator, transforms: list[Any], theirs: Callable[[Any], Any], broken: bool,
    gaps: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    values = np.round(rng.gamma(2, 3, ROWS) - 1, 3)
    cells = [None if gaps and i % 7 == 3 else float(v) for i, v in enumerate(values)]
    known = np.array([np.nan if c is None else c for c in cells])
    fitted_on = known[: ROWS // 2] if broken else known
    return _fitted({"a": cells}, transforms), theirs(fitted_on[:, None]).transform(known[:, None])


def _standardize(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    return _transform(rng, ["standardize"], lambda x: preprocessing.StandardScaler().fit(x), broken)


def _scale(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    return _transform(
        rng, [{"scale": {"range": [-1.0, 1.0]}}],
        lambda x: preprocessing.MinMaxScaler((-1, 1)).fit(x), broken,
    )  # fmt: skip


def _impute(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    strategy = str(rng.choice(["mean", "median", "most_frequent"]))
    spelled = {"impute": {"strategy": strategy}}
    return _transform(
        rng, [spelled], lambda x: impute.SimpleImputer(strategy=strategy).fit(x), broken, gaps=True
    )


def _one_hot(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    names = [
        str(v) for v in rng.choice(["red", "green", "blue", "grey"], ROWS, p=[0.4, 0.3, 0.2, 0.1])
    ]
    least = int(rng.integers(2, 8))
    ours = _fitted({"a": names}, [{"one_hot": {"min_count": least}}])
    encoder = preprocessing.OneHotEncoder(
        sparse_output=False, min_frequency=None if broken else least, handle_unknown="ignore"
    )
    theirs = encoder.fit_transform(np.array(names)[:, None])
    return ours[:, : theirs.shape[1]], theirs


def _stratified(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    """How many rows of each class validation gets: within one of scikit-learn's."""
    counts = rng.integers(6, 60, 4)
    y = np.repeat(list("abcd"), counts)
    with tempfile.TemporaryDirectory() as place:
        _write(Path(place) / "t.csv", {"x": list(range(len(y))), "y": list(y)})
        config = LANGUAGE.of({
            "task": "classification",
            "data": {"source": "csv", "path": f"{place}/t.csv", "target": "y",
                     "split": {"val": 0.25, "test": 0, "stratify": not broken}},
        })  # fmt: skip
        validation = read_data(config).val
        assert validation is not None and validation.y is not None
        ours = np.bincount(validation.y.numpy(), minlength=4)
    with warnings.catch_warnings(action="ignore"):
        _, rows = model_selection.train_test_split(np.arange(len(y)), test_size=0.25, stratify=y)
    theirs = np.array([(y[rows] == name).sum() for name in "abcd"])
    return np.maximum(np.abs(ours - theirs) - 1, 0), np.zeros(4)


TABLE: Table = {
    "classes": (1e-6, _classes),
    "labels": (1e-6, _labels),
    "numbers": (1e-6, _numbers),
    "standardize": (1e-6, _standardize),
    "scale": (1e-6, _scale),
    "impute": (1e-6, _impute),
    "one_hot": (1e-6, _one_hot),
    "stratified": (1e-6, _stratified),
}


@each(TABLE)
def test_sklearn(name: str) -> None:
    agrees(TABLE, name)
