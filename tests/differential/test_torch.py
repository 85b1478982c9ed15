"""Whole trainings against a loop by hand over torch's own optimizers, schedulers and losses."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from support.differential import Table, agrees, each
from torch import Tensor, nn
from torch.optim import lr_scheduler as schedulers
from torch.optim.swa_utils import AveragedModel

import ftune

ROWS, STEPS = 27, 8  # odd: the signs of an absolute error never cancel to a gradient of rounding
OPTIMIZERS: Mapping[str, Any] = {
    "sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
    "nadam": torch.optim.NAdam, "radam": torch.optim.RAdam, "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
}  # fmt: skip
SETTINGS: Mapping[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.8, "nesterov": True}, "adam": {"betas": (0.8, 0.95)},
    "adamw": {"amsgrad": True}, "rmsprop": {"momentum": 0.5, "centered": True},
}  # fmt: skip
SCHEDULES: Mapping[str, Any] = {
    "constant": lambda o: schedulers.ConstantLR(o, 1.0),
    "linear": lambda o: schedulers.LinearLR(o, 1.0, 0.1, STEPS),
    "cosine": lambda o: schedulers.CosineAnnealingLR(o, STEPS),
    "step": lambda o: schedulers.MultiStepLR(o, [4, 6], 0.1),
    "one_cycle": lambda o: schedulers.OneCycleLR(
        o, [g["lr"] for g in o.param_groups], STEPS, pct_start=0.25, div_factor=10,
        final_div_factor=100, cycle_momentum=False,
    ),
}  # fmt: skip
SCHEDULE_SETTINGS: Mapping[str, dict[str, Any]] = {
    "linear": {"final": 0.1}, "step": {"at": [0.5, 0.75], "gamma": 0.1},
    "one_cycle": {"peak_at": 0.25, "initial": 0.1, "final": 1e-3},
}  # fmt: skip
REGRESSION: Mapping[str, Any] = {
    "mse": nn.functional.mse_loss, "mae": nn.functional.l1_loss,
    "huber": nn.functional.huber_loss,
}  # fmt: skip
CLASSES = ("a", "b", "c")


def _config(rng: np.random.Generator, task: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    optimizer, schedule = rng.choice(list(OPTIMIZERS)), rng.choice(list(SCHEDULES))
    warmup = {} if schedule == "one_cycle" else {"warmup": 0}
    parts = int(rng.choice([1, 3, 9]))
    return {
        "task": dict(task),
        "data": {
            "source": "csv", "path": {"train": str(folder / "t.csv"), "val": str(folder / "t.csv")},
            "target": "y", "transforms": [],
        },
        "model": {"name": "sequential",
                  "layers": [{"linear": 5}, "tanh", {"linear": "out", "as": "head"}]},
        "adapt": [{"match": "head.*", "lr_scale": 3.0, "weight_decay": 0.0}],
        "optimizer": {"name": optimizer, "lr": 0.02, "weight_decay": 0.1,
                      **SETTINGS.get(optimizer, {})},
        "schedule": {"name": schedule, **warmup, **SCHEDULE_SETTINGS.get(schedule, {})},
        "train": {"steps": STEPS, "batch_size": ROWS // parts, "accumulate": parts, "keep": 99,
                  "clip_norm": 0.5, "ema": 0.9, "checkpoint_every": {"steps": 1}},
        "runtime": {"threads": 1, "device": "cpu"}, "seed": int(rng.integers(99)),
    }  # fmt: skip


def _model(x: Tensor, outputs: int, folder: Path) -> nn.Sequential:
    """The same network with the weights that ftune drew."""
    model = nn.Sequential(nn.Linear(x.shape[1], 5), nn.Tanh(), nn.Linear(5, outputs))
    first = load_file(folder / "run/checkpoints/step-00000000/model.safetensors")
    for parameter, tensor in zip(model.parameters(), _in_order(first), strict=True):
        parameter.data = tensor.clone()
    return model


def _in_order(tensors: Mapping[str, Tensor]) -> list[Tensor]:
    """Weight and bias of the first layer, then of the head."""
    first = next(name for name in tensors if not name.startswith("head")).rpartition(".")[0]
    return [tensors[f"{layer}.{kind}"] for layer in (first, "head") for kind in ("weight", "bias")]


def _by_hand(config: Mapping[str, Any], model: nn.Sequential, loss: Any, broken: bool) -> Tensor:
    """The averaged weights after all steps; broken: the scheduler moves before the optimizer."""
    settings = {k: v for k, v in config["optimizer"].items() if k not in ("name", "lr")}
    rate = config["optimizer"]["lr"]
    groups = [
        {"params": list(model[0].parameters()), "lr": rate},
        {"params": list(model[2].parameters()), "lr": 3 * rate, "weight_decay": 0.0},
    ]
    optimizer = OPTIMIZERS[config["optimizer"]["name"]](groups, lr=rate, **settings)
    scheduler = SCHEDULES[config["schedule"]["name"]](optimizer)

    def decayed(average: Tensor, live: Tensor, updates: Tensor | int) -> Tensor:
        decay = min(0.9, float(updates) / (9 + float(updates)))
        return decay * average + (1 - decay) * live

    average = AveragedModel(model, avg_fn=decayed)
    average.update_parameters(model)  # the first one copies
    for _ in range(STEPS):
        if broken:
            with warnings.catch_warnings(action="ignore"):
                scheduler.step()
        optimizer.zero_grad()
        loss(model).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        average.update_parameters(model)
        if not broken:
            scheduler.step()
    return torch.cat([p.detach().ravel() for p in average.module.parameters()])


def _compare(
    rng: np.random.Generator, broken: bool, task: Mapping[str, Any], y: Any, loss: Any, outputs: int
) -> tuple[Tensor, Tensor]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        x = rng.normal(size=(ROWS, 4)).astype(np.float32)
        lines = [
            ",".join([*map(repr, map(float, row)), str(t)]) for row, t in zip(x, y, strict=True)
        ]
        (folder / "t.csv").write_text("\n".join(["a,b,c,d,y", *lines]) + "\n")
        config = _config(rng, task, folder)
        ftune.run("optimize", config, out=folder / "run")
        inputs = torch.from_numpy(x)
        theirs = _by_hand(
            config, _model(inputs, outputs, folder), lambda m: loss(m(inputs)), broken
        )
        last = folder / f"run/checkpoints/step-{STEPS:08}"
        averages = load_file(last / "training.safetensors")
        ours = {n.removeprefix("ema/"): t for n, t in averages.items() if n.startswith("ema/")}
        return torch.cat([t.ravel() for t in _in_order(ours)]), theirs


def _regression(rng: np.random.Generator, broken: bool) -> tuple[Tensor, Tensor]:
    kind = rng.choice(list(REGRESSION))
    y = rng.normal(size=ROWS).astype(np.float32)
    truth = torch.from_numpy(y)[:, None]
    task = {"name": "regression", "loss": kind}
    return _compare(rng, broken, task, map(float, y), lambda out: REGRESSION[kind](out, truth), 1)


def _classification(rng: np.random.Generator, broken: bool) -> tuple[Tensor, Tensor]:
    numbers = np.concatenate([np.arange(3), rng.integers(0, 3, ROWS - 3)])
    weights = rng.uniform(0.2, 3, 3).astype(np.float32)
    smoothing = float(rng.choice([0.0, 0.1]))
    task = {
        "name": "classification", "label_smoothing": smoothing,
        "class_weights": {name: float(w) for name, w in zip(CLASSES, weights, strict=True)},
    }  # fmt: skip

    def loss(outputs: Tensor) -> Tensor:
        return nn.functional.cross_entropy(
            outputs, torch.from_numpy(numbers), torch.from_numpy(weights), label_smoothing=smoothing
        )

    return _compare(rng, broken, task, [CLASSES[i] for i in numbers], loss, 3)


TABLE: Table = {
    "regression": (2e-5, _regression),
    "classification": (2e-5, _classification),
}


@each(TABLE)
def test_torch(name: str) -> None:
    agrees(TABLE, name)
