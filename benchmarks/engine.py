"""Training steps per second on a small table: ftune, loops by hand, Lightning, HF Trainer."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from _measure import DATA, Bench, main
from _peers import PEERS
from _process import last_line
from _ratios import Result, Table

# Every peer trains the same network (MLP 128-64, AdamW, cosine) for the same number of steps of 64
# rows of adult.csv, in fp32, on one thread, in a process of its own; a round goes through all peers
# in turn, and each round's ratio is taken to the loop by hand of the same round. ftune is the real
# command with validation, checkpoints, metrics and checks on; of its time counts what its summary
# calls train_seconds.
#
# What the loop by hand does was found by trying, ratios to it (torch 2.13, one core): `x[i]` in
# place of index_select 0.82-0.94, one gather an epoch 0.80-0.88, AdamW unfused 0.65-0.70,
# gradients zeroed in place of dropped 0.95-0.99, F.linear in place of modules 1.01-1.04. The kernel
# that torch's fused AdamW calls can be called without it (private-kernel): a bound, not a base.

BASE = "by-hand"


def prepare_sides(options: Result) -> Result:
    """The table as a file and as tensors; one of its shape where adult.csv is not there."""
    folder, csv = Path(options["folder"]), Path(options["data"]) / "adult.csv"
    csv = csv if csv.is_file() else synthetic_table(folder / "adult.csv")
    config = folder / "engine.json"  # JSON is YAML
    config.write_text(json.dumps(configuration(csv, options["steps"])))
    data = prepare(csv, folder / "data.npz")
    return {"data": str(data), "config": str(config), "steps": options["steps"]}


def by_peer(name: str, spec: Result) -> Result:
    script = str(Path(__file__).with_name("_peers.py"))
    return _figures(last_line([sys.executable, script, name, spec["data"], str(spec["steps"])]))


def by_ftune(spec: Result) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ftune", "optimize", spec["config"]]
        summary = last_line([*command, "--json", "--quiet", "--out", str(Path(folder) / "run")])
    size = summary["parameters"]["total"]
    return _figures({**summary, "seconds": summary["train_seconds"], "parameters": size})


def _figures(summary: Result) -> Result:
    """Speed and size; a category of one row, 128 weights, may miss in one training split."""
    return {
        "steps_per_second": summary["steps"] / summary["seconds"],
        "parameters": summary["parameters"],
    }


def configuration(csv: Path, steps: int) -> Result:
    """The same training for ftune."""
    return {
        "task": "classification",
        "data": {
            "source": "csv", "path": str(csv.resolve()), "target": "income",
            "split": {"val": 0.1, "test": 0.2, "stratify": True},
            "transforms": ["impute", "standardize", "one_hot"],
        },
        "model": {"name": "mlp", "hidden": [128, 64]},
        "optimizer": {"name": "adamw", "lr": 1e-3, "weight_decay": 0.01},
        "schedule": {"name": "cosine", "warmup": 0.0},
        "train": {"steps": steps, "batch_size": 64},
        "runtime": {"device": "cpu", "threads": 1},
    }  # fmt: skip


def prepare(csv: Path, out: Path) -> Path:
    """Writes 70 % of the rows as x [rows, features] fp32 and y [rows]: what ftune trains on.

    Numbers are standardised, categories one-hot; the statistics do not matter for the speed.
    """
    from pyarrow import csv as reader
    from pyarrow import types

    table = reader.read_csv(csv)
    y = np.asarray(table["income"].to_numpy(zero_copy_only=False) == ">50K", dtype=np.int64)
    parts = []
    for name in table.column_names[:-1]:
        values = table[name].to_numpy(zero_copy_only=False)
        if types.is_string(table[name].type):
            parts.append((values[:, None] == np.unique(values)[None]).astype(np.float32))
        else:
            parts.append(((values - values.mean()) / values.std()).astype(np.float32)[:, None])
    kept = np.random.default_rng(0).permutation(len(y))[: round(0.7 * len(y))]
    np.savez(out, x=np.concatenate(parts, 1)[kept], y=y[kept])
    return out


def synthetic_table(path: Path, rows: int = 32_561) -> Path:
    """A table of adult.csv's shape: 6 numbers, 8 categories, a target that depends on both."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(rows, 6))
    levels = [9, 16, 7, 15, 6, 5, 2, 42]
    codes = np.stack([rng.integers(n, size=rows) for n in levels], 1)
    target = numbers[:, 0] + codes[:, 1] % 3 - 1 + rng.normal(size=rows) > 0.8
    lines = [",".join([*(f"n{i}" for i in range(6)), *(f"c{i}" for i in range(8)), "income"])]
    for number, code, rich in zip(numbers, codes, target, strict=True):
        cells = [*(f"{v:.4f}" for v in number), *(f"v{v}" for v in code)]
        lines.append(",".join([*cells, ">50K" if rich else "<=50K"]))
    path.write_text("\n".join(lines) + "\n")
    return path


SIDES: dict[str, Callable[[Result], Result]] = {
    **{name: partial(by_peer, name) for name in PEERS},
    "ftune": by_ftune,
}
BENCH = Bench(
    script=__file__,
    about=__doc__ or "",
    prepare=prepare_sides,
    sides=SIDES,
    tables=[Table("engine", list(SIDES), [BASE, "lightning", "hf-trainer"], "steps_per_second")],
    options={"steps": (1500, "steps of 64 rows"), "data": (DATA, "the folder of data sets")},
    rounds=5,
)

if __name__ == "__main__":
    sys.exit(main(BENCH))
