"""Trainings in little memory: wide layers, many rows, and a limit on the address space."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ftune.assembly import fault_policy
from ftune.assembly.build import build, read_data
from ftune.data.store import Dense, RngKey
from ftune.schema.root import LANGUAGE
from ftune.training.run import new_run
from ftune.training.train import train
from support.apart import only_in_a_child
from support.trainings import QUIET

MIB = 2**20
ROWS = 4096


def write_rows(file: Path) -> None:
    """Targets that follow from the inputs, so that the training moves."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS + 64, 16)).astype(np.float32)
    np.savez(file, x=x, y=(x[:, :3].sum(1)).astype(np.float32))


def plain(file: Path, norm: bool = False) -> dict[str, Any]:
    """One step of 4,096 rows through layers of 1,024: some 150 MiB of activations."""
    layers: list[Any] = [{"linear": 1024}, "relu", {"linear": 1024}, "relu", {"linear": 1024}]
    extra: list[Any] = [{"batchnorm": {}, "as": "norm"}] if norm else []
    return {
        "task": "regression",
        "data": {
            "source": "npz", "path": str(file), "target": "y", "transforms": [],
            "split": {"val": 64, "test": 0},
        },
        "model": {"name": "sequential", "layers": [*layers, *extra, "relu", {"linear": "out"}]},
        "optimizer": {"name": "sgd", "lr": 0.01},
        "schedule": "constant",
        "train": {"epochs": 3, "batch_size": ROWS, "log_every": 1},
        "runtime": {"threads": 1, "device": "cpu"},
    }  # fmt: skip


def train_within(
    out: Path, configuration: dict[str, Any], spare: int | None, shrinks: bool = True
) -> None:
    """In a child: trains with `spare` bytes more than are in use when the first step begins.

    Writes the rows of every batch into `out.json`. shrinks=False: the guard against batches that
    hang together is taken away.
    """
    seen: list[list[int]] = []
    take = Dense.take

    def watched(self: Dense, rows: Tensor, rng_key: RngKey | None = None) -> dict[str, Tensor]:
        if rng_key is not None:
            seen.append(rows.tolist())
        return take(self, rows, rng_key)

    Dense.take = watched  # type: ignore[method-assign]
    if not shrinks:
        fault_policy._bound_together = lambda *_: None
    config = LANGUAGE.of(configuration)
    run = new_run("optimize", "", out, config, build(config, read_data(config)), QUIET)
    if spare is not None:
        limit_memory(_in_use() + spare)
    seen.clear()
    try:
        train(run)
    finally:
        if spare is not None:
            limit_memory(resource.RLIM_INFINITY)
        told = {"split": run.state.microbatch_splits, "rows": seen}
        out.with_suffix(".json").write_text(json.dumps(told))


def limit_memory(size: int) -> None:
    """Bytes that the process can address."""
    only_in_a_child()
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


def _in_use() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
