"""Tiny trainings that together use every variant of every table and every root block."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ftune
from ftune.commands.evaluate import evaluate
from ftune.commands.export import export
from ftune.commands.predict import predict
from ftune.console import Console
from ftune.optim import OPTIMIZERS, SCHEDULES
from ftune.predictor import Sampling
from ftune.runs.base import load_base

SHORT: dict[str, Any] = {
    "train": {"steps": 2, "batch_size": 16},
    "runtime": {"threads": 1},
    "optimizer": {"name": "sgd", "lr": 0.01},
}
TABLE = {"source": "csv", "path": "t.csv", "target": "label"}


def run(command: str, config: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    config = {"task": "classification", "model": {"name": "mlp", "width": 4}, **SHORT, **config}
    return ftune.run(command, config, **more)


def use_sources_and_transforms() -> None:
    dated = {"types": {"when": "date"}}
    chains: list[list[Any]] = [
        [{"drop": ["when", "who"]},
         {"impute": {"strategy": "constant", "value": 0, "text": "?"}}, "ordinal"],
        [{"select": ["a", "b"]}, {"rename": {"a": "z"}}, "quantile", {"clip": {"quantile": 0.1}},
         "log", {"scale": {"range": [0, 1]}}],
        [{"drop": ["who"]}, "date", "impute", {"one_hot": {"most": 2}}, "standardize",
         {"clip": {"low": -1, "high": 1}}, {"scale": 0.5}],
    ]  # fmt: skip
    for chain in chains:
        run("optimize", {"data": {**TABLE, **dated, "transforms": chain}})
    for name in ("parquet", "jsonl"):
        run(
            "optimize",
            {"data": {**TABLE, "source": name, "path": f"t.{name}", "types": {"when": "date"}}},
        )
    image = {"source": "sklearn", "name": "digits", "limit": 100, "per_class": 5, "classes": [0, 1]}
    run("optimize", {"data": {**image, "transforms": [{"resize": 4}, "flatten"]}})


def use_layers() -> None:
    data = {"source": "npz", "path": "t.npz", "target": "label", "transforms": []}
    conv = [
        {"reshape": [6, 8]}, {"conv1d": 4, "kernel": 3, "padding": "same", "as": "first"},
        "batchnorm",
        {"groupnorm": {"groups": 2}}, "relu", {"maxpool": 2}, {"avgpool": 2},
        {"residual": [{"conv1d": 4, "kernel": 1}, "gelu"], "project": True},
        {"repeat": 2, "layers": ["silu", "tanh"]}, "flatten", {"reshape": [2, 4]},
        {"gru": 3, "output": "all"}, {"lstm": 3}, "layernorm", "rmsnorm", "sigmoid", "softmax",
        {"dropout": 0.1}, {"linear": "out"},
    ]  # fmt: skip
    run("optimize", {"data": data, "model": {"name": "sequential", "layers": conv}})
    digits = {"source": "sklearn", "name": "digits", "limit": 64}
    image = [{"conv2d": 2, "kernel": 3}, {"globalpool": "max"}, {"linear": "out"}]
    run("optimize", {"data": digits, "model": {"name": "sequential", "layers": image}})
    codes = [{"embedding": 3, "vocabulary": 8}, "flatten", {"linear": "out"}]
    model = {"name": "sequential", "layers": codes}
    run("optimize", {"data": {**data, "path": "codes.npz"}, "model": model})
    table = {**TABLE, "transforms": [{"drop": ["when", "who"]}, "ordinal"]}
    columns = {
        "name": "sequential",
        "layers": [{"embedding": {"columns": ["c"]}}, {"linear": "out"}],
    }
    run("optimize", {"data": table, "model": columns})
    run(
        "optimize", {"data": table, "model": {"name": "mlp", "hidden": [4, 3], "norm": "layernorm"}}
    )


def use_optimizers_and_schedules() -> None:
    special: dict[str, list[dict[str, Any]]] = {
        "step": [{"at": [0.5]}, {"every": 1}],
        "exponential": [{"gamma": 0.9}, {"final": 0.1}],
        "wsd": [{"shape": "sqrt"}, {"shape": "linear"}],
    }
    for name in OPTIMIZERS:
        run("optimize", {"data": TABLE, "optimizer": {"name": name, "lr": 0.01}})
    for name in SCHEDULES:
        for more in special.get(name, [{}]):
            run("optimize", {"data": TABLE, "schedule": {"name": name, **more}})
    still = {"train": {"steps": 4}, "eval": {"every": {"steps": 1}}}
    plateau = {"name": "plateau", "patience": 1}
    rate = {"name": "sgd", "lr": 1e-12}
    run("optimize", {"data": TABLE, "schedule": plateau, "optimizer": rate, **still})
    for warmup in (0.5, {"steps": 1}):
        run("optimize", {"data": TABLE, "schedule": {"name": "cosine", "warmup": warmup}})


def use_tasks() -> None:
    weighted = {"name": "classification", "class_weights": "balanced", "label_smoothing": 0.1}
    run("optimize", {"task": {**weighted, "positive": "yes"}, "data": TABLE})
    several = {"name": "classification", "multi_label": True, "threshold": 0.4}
    run("optimize", {"task": several, "data": {**TABLE, "target": ["m", "n"]}})
    numbers = {**TABLE, "target": "y", "target_transforms": ["standardize"]}
    run("optimize", {"task": {"name": "regression", "loss": "huber"}, "data": numbers})
    columns = {**TABLE, "split": {"group": "who", "val": 0.2}}
    run("optimize", {"data": columns})
    run("optimize", {"data": {**TABLE, "split": {"time": "when", "stratify": None}}})


def use_every_root_block(folder: Path) -> None:
    blocks: dict[str, Any] = {
        "seed": 3, "output": {"folder": str(folder / "elsewhere")},
        "train": {"epochs": 2, "batch_size": 8, "accumulate": 2, "drop_last": True, "keep": 2,
                  "clip_norm": 1.0, "clip_value": 1.0, "precision": "fp32", "ema": 0.9,
                  "early_stop": {"patience": 1}, "log_every": 1, "keep_best": 2,
                  "non_finite": {"policy": "skip", "limit": 3},
                  "spike_guard": {"threshold": 9, "window": 10, "policy": "skip"},
                  "checkpoint_every": {"epochs": 1, "steps": 1, "minutes": 1}},
        "eval": {"every": {"epochs": 1, "steps": 1}, "metric": "loss", "batch_size": 16},
        "runtime": {"device": "cpu", "threads": 1, "deterministic": True, "price": 2.1},
    }  # fmt: skip
    done = run("optimize", {"data": TABLE, **blocks})
    run("optimize", {"data": TABLE, "train": {"minutes": 0.02}})
    rules = [{"match": "*", "train": False}, {"match": "*head*", "train": True, "lr_scale": 2},
             {"match": "*.bias", "weight_decay": 0, "from_epoch": 1}]  # fmt: skip
    model = {"name": "mlp", "width": 4}
    run("finetune", {"data": {**TABLE, "statistics": "refit"}, "model": model, "adapt": rules},
        base=done["run"])  # fmt: skip
    rates = {"low": 1e-3, "high": 0.1, "per_decade": 1, "refine": 3}
    run("lr-find", {"data": TABLE, "train": {"epochs": 1}, "lr_find": rates})
    question = {"question": "?", "scientific": {"model.depth": [1, 2]}, "sampler": "grid",
                "nuisance": {"optimizer.lr": [0.1, 0.2]}, "trials": 4, "halving": 2}  # fmt: skip
    run("sweep", {"data": TABLE, "train": {"steps": 3}, "sweep": question})
    quiet, base = Console(quiet=True), load_base(Path(done["run"]))
    evaluate(base, ["data.path=t.csv"], None, quiet)
    predict(base, Path("t.csv"), Path("p.csv"), None, Sampling(), quiet)
    export(base, "pt", Path("m.pt"), quiet)
