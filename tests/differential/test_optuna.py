"""A sweep's study opened, and asked on, by Optuna itself."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from support.differential import Table, agrees, each

import ftune


def _config(folder: Path, sweep: dict[str, Any], seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    rows = [f"{a:.4f},{b:.4f},{'uv'[int(a + b > 0)]}" for a, b in rng.normal(size=(40, 2))]
    (folder / "t.csv").write_text("\n".join(["a,b,y", *rows]) + "\n")
    return {
        "task": "classification", "seed": seed, "sweep": sweep,
        "data": {"source": "csv", "path": str(folder / "t.csv"), "target": "y",
                 "split": {"val": 16, "test": 0}},
        "model": {"name": "mlp", "hidden": [3]}, "optimizer": {"name": "sgd", "lr": 0.1},
        "eval": {"metric": "loss"}, "train": {"steps": 3, "batch_size": 12},
        "runtime": {"threads": 1, "device": "cpu"},
    }  # fmt: skip


def _swept(rng: np.random.Generator, sweep: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The sweep's summary, and its trials as Optuna reads them."""
    with tempfile.TemporaryDirectory() as place:
        config = _config(Path(place), sweep, int(rng.integers(99)))
        summary = ftune.run("sweep", config, out=Path(place) / "run")
        storage = f"sqlite:///{place}/run/study.db"
        study = optuna.load_study(study_name="sweep", storage=storage)
        return summary, study


def _best(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    """The values, and which trial is the best."""
    axis = {"low": 1e-3, "high": 1.0, "log": True}
    summary, study = _swept(rng, {"nuisance": {"optimizer.lr": axis}, "trials": 5})
    values = [trial.value for trial in study.trials]
    theirs = max(range(5), key=lambda n: values[n]) if broken else study.best_trial.number
    best = summary["best_trial"]
    number = best["number"] if isinstance(best, dict) else best
    return [number, *(t["value"] for t in summary["trials"])], [theirs, *values]


def _grid(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    """Each point of a grid once."""
    rates, widths = [0.1, 0.2, 0.3][: rng.integers(2, 4)], [2, 3]
    axes = {"optimizer.lr": rates, "model.hidden": [[w] for w in widths]}
    summary, study = _swept(rng, {"scientific": axes, "sampler": "grid"})
    points = [
        [t["params"]["optimizer.lr"], *t["params"]["model.hidden"]] for t in summary["trials"]
    ]
    theirs = [list(p) for p in itertools.product(rates, widths)]
    if broken:
        theirs[-1] = theirs[0]
    assert len(study.trials) == len(points)
    return sorted(points), sorted(theirs)


TABLE: Table = {"best": (1e-12, _best), "grid": (1e-12, _grid)}


@each(TABLE)
def test_optuna(name: str) -> None:
    agrees(TABLE, name)
