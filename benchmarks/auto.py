"""What `transforms: auto` costs or gains: small categories, nearly constant columns, time."""

from __future__ import annotations

import csv
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from _figures import Cases, Figure, data, measure, median
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.preprocessing import OneHotEncoder

import ftune
from ftune.data.prepare import prepare
from ftune.schema.root import LANGUAGE

Numbers = npt.NDArray[np.float64]
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
BY_HAND = ["date", "impute", "quantile", "one_hot"]
STANDARDIZED = ["date", "impute", "standardize", "one_hot"]
MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"name": "mlp", "width": 64, "depth": 2},
    "linear": {"name": "sequential", "layers": [{"linear": "out"}]},
}


def months(out: Path) -> list[Figure]:
    """12 months of 20 rows, an effect of deviation 1, noise of 0.35: R2 beside least squares."""
    pairs = [_months(seed, out / str(seed)) for seed in range(10)]
    gaps = [auto - least_squares for auto, least_squares in pairs]
    medians = [statistics.median(values) for values in zip(*pairs, strict=True)]
    return [
        Figure("months: median R2, auto - least squares", -0.03, medians[0] - medians[1], gaps),
        Figure("months: R2 of auto", medians[1] - 0.03, medians[0], [auto for auto, _ in pairs]),
    ]


def _months(seed: int, out: Path) -> tuple[float, float]:
    """R2 on the test rows of a training and of least squares on its training rows."""
    rng = np.random.default_rng(seed)
    names = np.repeat(MONTHS, 20)
    y = np.repeat(rng.normal(0, 1, 12), 20) + rng.normal(0, 0.35, 240)
    file = _write(out.with_suffix(".csv"), {"month": names, "y": y})
    config = _regression(seed, {"path": str(file), "target": "y"}, epochs=60, batch_size=16)
    auto = float(ftune.run("optimize", config, out=out)["metrics"]["test"]["r2"])
    read = LANGUAGE.of(config, source="benchmark")
    parts = prepare(read.data, "numbers", seed).splits
    rows = {part: split.rows.numpy() - 1 for part, split in parts.items()}
    flags = OneHotEncoder(sparse_output=False).fit_transform(names[:, None])
    fitted = LinearRegression().fit(flags[rows["train"]], y[rows["train"]])
    return auto, float(r2_score(y[rows["test"]], fitted.predict(flags[rows["test"]])))


def constant(out: Path) -> list[Figure]:
    """One training row of another year, hour or fare: how far predictions leave the targets.

    The control is `standardize`, which must leave them by more in the linear model.
    """
    figures = [
        Figure(f"{name}, {model}: beyond the targets' range", 0.1, max(values), values, True)
        for name in ("year", "hour", "fare")
        for model in MODELS
        for values in [_seeds(name, model, "auto", out)]
    ]
    control = _seeds("hour", "linear", STANDARDIZED, out)
    return [*figures, Figure("hour, linear: with standardize", 0.1, max(control), control)]


def _seeds(name: str, model: str, transforms: Any, out: Path) -> list[float]:
    folders = [out / f"{name}-{model}-{transforms == 'auto'}-{seed}" for seed in range(5)]
    return [_beyond(name, model, transforms, *item) for item in enumerate(folders)]


def _beyond(name: str, model: str, transforms: Any, seed: int, out: Path) -> float:
    """The share of the range of the training targets by which a prediction leaves it."""
    rng = np.random.default_rng(seed)
    rows, train = 800, 500
    x = rng.normal(size=(rows, 2))
    y = 40 + 10 * x[:, 0] + 5 * np.sin(2 * x[:, 1]) + rng.normal(size=rows)
    columns = {"x": x[:, 0], "z": x[:, 1], name: _nearly_constant(name, rows, train, rng), "y": y}
    cuts = {"train": slice(train), "val": slice(train, 600), "test": slice(600, None)}
    files = {
        part: str(_write(Path(f"{out}-{part}.csv"), {n: c[cut] for n, c in columns.items()}))
        for part, cut in cuts.items()
    }
    source = {"path": files, "target": "y", "transforms": transforms}
    config = _regression(seed, source, epochs=20, batch_size=32) | {"model": MODELS[model]}
    ftune.run("optimize", config, out=out)
    predicted = _predicted(out, files["test"])
    low, high = float(y[:train].min()), float(y[:train].max())
    return float(max(predicted.max() - high, low - predicted.min(), 0.0) / (high - low))


def _predicted(run: Path, file: str) -> Numbers:
    columns = ftune.load(run).predict(file)
    return np.array(next(iter(columns.values())), dtype=np.float64)


def _nearly_constant(name: str, rows: int, train: int, rng: np.random.Generator) -> Any:
    """A column that is one value in all training rows but one, and any other later on."""
    days = np.datetime64("2023-01-01T00:00:00") + rng.integers(0, 365, rows) * 86400
    if name == "fare":
        fares = np.full(rows, 37.0)
        fares[3], fares[600:] = 38.0, rng.choice([37.0, 38.0, 200.0, 266.0], rows - 600)
        return fares
    step = 3600 if name == "hour" else 366 * 86400
    most = 24 if name == "hour" else 8
    days[3] += step
    days[train:] += step * rng.integers(0, most, rows - train)
    return days


def time(out: Path) -> list[Figure]:
    """housing.csv with a date for each row, split by it: RMSE beside `quantile` by hand."""
    with data("housing.csv").open(encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    days = np.datetime64("1990-01-01") + np.arange(len(rows)) // 8
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    dated = _write(out / "housing.csv", {**columns, "recorded": days})
    by_hand, auto = (
        [_time(seed, dated, transforms, out / f"{name}-{seed}") for seed in range(5)]
        for name, transforms in (("quantile", BY_HAND), ("auto", "auto"))
    )
    ratio = statistics.median(auto) / statistics.median(by_hand)
    return [
        Figure("time: median RMSE, auto / quantile", 1.02, ratio, [], at_most=True),
        median("time: RMSE of quantile", 0, by_hand),
        median("time: RMSE of auto", 0, auto),
    ]


def _time(seed: int, file: Path, transforms: Any, out: Path) -> float:
    """Test RMSE of the model of `configs/housing.yaml`."""
    split = {"val": 0.1, "test": 0.2, "time": "recorded"}
    changes = [f"data.path={file}", f"data.split={_flow(split)}", f"seed={seed}"]
    changes.append(f"data.transforms={transforms if transforms == 'auto' else _list(transforms)}")
    config = Path(__file__).resolve().parents[1] / "configs/housing.yaml"
    summary = ftune.run("optimize", config, changes, out=out)
    return float(summary["metrics"]["test"]["rmse"])


def _flow(mapping: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in mapping.items()) + "}"


def _list(words: Sequence[str]) -> str:
    return f"[{', '.join(words)}]"


def _regression(seed: int, source: dict[str, Any], **train: int) -> dict[str, Any]:
    return {
        "task": "regression",
        "seed": seed,
        "data": {"source": "csv", "target_transforms": ["standardize"], **source},
        "model": MODELS["mlp"],
        "optimizer": {"name": "adamw", "lr": 3e-3},
        "schedule": "cosine",
        "train": train,
    }


def _write(file: Path, columns: Mapping[str, Any]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as target:
        lines = csv.writer(target)
        lines.writerow(columns)
        lines.writerows(zip(*columns.values(), strict=True))
    return file


CASES: Cases = {"months": months, "constant": constant, "time": time}

if __name__ == "__main__":
    sys.exit(measure(CASES, __doc__))
