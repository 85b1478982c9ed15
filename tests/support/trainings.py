"""Tiny trainings, and what two of them must agree on to the last bit."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ftune.assembly.build import build, read_data
from ftune.console import Console
from ftune.runs import checkpoint
from ftune.runs.folder import RunFolder, read_metrics
from ftune.schema.root import LANGUAGE, RunConfig
from ftune.training.reopen import reopen
from ftune.training.run import Run, new_run
from ftune.training.train import train

QUIET = Console(json_output=True, quiet=True)

# Everything that a step can depend on, in one training of 24 steps of a few hundred parameters.
EVERYTHING: dict[str, Any] = {
    "seed": 3,
    "task": "classification",
    "data": {"source": "sklearn", "name": "iris", "split": {"val": 22, "test": 32}},
    "model": {
        "name": "sequential",
        "layers": [
            {"linear": 8, "as": "layer1"},
            {"batchnorm": {}, "as": "norm"},
            "relu",
            {"dropout": 0.3},
            {"linear": 6, "as": "layer2"},
            "relu",
            {"linear": "out", "as": "last"},
        ],
    },
    "adapt": [{"match": "layer1.*", "from_epoch": 2}],
    "optimizer": {"name": "adamw", "lr": 0.02},
    "schedule": {"name": "plateau", "warmup": 0.2, "patience": 0, "factor": 0.5},
    "train": {
        "epochs": 4,
        "batch_size": 8,
        "accumulate": 2,
        "clip_norm": 1.0,
        "ema": 0.9,
        "early_stop": 50,
        "log_every": 5,
        "checkpoint_every": {"steps": 1000},
    },
    "eval": {"every": {"steps": 2}, "metric": "loss"},
    "runtime": {"threads": 1, "device": "cpu"},
}


def configuration(*changes: str, plain: Mapping[str, Any] = EVERYTHING) -> RunConfig:
    return LANGUAGE.of(plain, changes)


def begin(config: RunConfig, out: Path, pause_at: int | None = None) -> Run:
    run = new_run("optimize", "", out, config, build(config, read_data(config)), QUIET)
    run.pause_at = pause_at
    return run


def begun(out: Path) -> bool:
    """Whether there is a run to go on with."""
    return out.exists()


def undisturbed(config: RunConfig, out: Path) -> dict[str, Any]:
    return train(begin(config, out))


def interrupted(config: RunConfig, out: Path, at: Sequence[int]) -> dict[str, Any]:
    """The same training, given up after each of the steps `at` and resumed from its folder."""
    summary = train(begin(config, out, pause_at=at[0]))
    for stop in [*at[1:], None]:
        assert summary["status"] == "paused", summary
        torch.manual_seed(stop or 999)  # what a new process would find
        run = reopen(RunFolder(out), QUIET)
        run.pause_at = stop
        summary = train(run)
    return summary


def trace(out: Path) -> dict[str, Any]:
    """Hashes of the last and the best state by tensor, the loop's numbers, and every logged one."""
    folder = out / "checkpoints"
    return {
        "latest": _fingerprint(folder, "latest"),
        "best": _fingerprint(folder, "best"),
        "metrics": [_exact(line) for line in read_metrics(out / "metrics.jsonl")],
    }


def assert_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Fails with the parts that differ."""
    assert differences(one, other) == []


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    found = []
    for part in ("latest", "best"):
        a, b = one[part], other[part]
        found += [f"{part}/{key}" for key in {**a, **b} if a.get(key) != b.get(key)]
    found += ["metrics"] if one["metrics"] != other["metrics"] else []
    return found


def _fingerprint(folder: Path, name: str) -> dict[str, str]:
    target = checkpoint.pointed(folder, name)
    if target is None:
        return {}
    found = checkpoint.load(target)
    tensors = {f"model/{k}": t for k, t in found.model.items()}
    tensors |= {f"training/{k}": t for k, t in found.training.items()}
    prints = {key: tensor_hash(tensor) for key, tensor in tensors.items()}
    loop = {key: json.dumps(value) for key, value in found.meta["loop"].items()}
    return {"name": target.name} | prints | {f"loop/{k}": v for k, v in loop.items()}


def tensor_hash(tensor: torch.Tensor) -> str:
    data = tensor.detach().contiguous().view(torch.uint8) if tensor.dim() else tensor.reshape(1)
    return hashlib.sha256(data.view(torch.uint8).numpy(force=True).tobytes()).hexdigest()


def _exact(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value.hex() if isinstance(value, float) and math.isfinite(value) else str(value)
        for key, value in line.items()
        if key != "time"
    }
