"""Training steps per second on a small table: ftune, loops by hand, Lightning, HF Trainer."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _peers import PEERS

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

CSV = Path(__file__).resolve().parents[1] / "../shared/data/adult.csv"
BASE = "by-hand"


def main(words: Sequence[str] | None = None) -> None:
    """Measures and prints."""
    options = _options(words)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        csv = options.csv if options.csv.is_file() else synthetic_table(folder / "adult.csv")
        data = prepare(csv, folder / "data.npz")
        config = folder / "engine.json"  # JSON is YAML
        config.write_text(json.dumps(configuration(csv, options.steps)))
        rounds = [_round(options, data, config, folder / str(i)) for i in range(options.rounds)]
    results = summarise(rounds)
    if options.json:
        print(json.dumps({"table": csv.name, "rounds": options.rounds, "peers": results}))  # noqa: T201
    else:
        print(_table(results, options))  # noqa: T201


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench engine", description=__doc__)
    parser.add_argument("peers", nargs="*", default=[], help=", ".join(["ftune", *PEERS]))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument(
        "--csv", type=Path, default=CSV, help="adult.csv; else a table of its shape"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(words)
    if unknown := set(options.peers) - {"ftune", *PEERS}:
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    chosen = options.peers or ["ftune", *PEERS]
    options.peers = [BASE, *(peer for peer in chosen if peer != BASE)]
    return options


def _round(options: argparse.Namespace, data: Path, config: Path, out: Path) -> dict[str, Any]:
    """One result for each peer: steps, seconds, parameters."""
    found = {}
    for peer in options.peers:
        print(f"{peer} …", end=" ", flush=True, file=sys.stderr)  # noqa: T201
        found[peer] = _ftune(config, out) if peer == "ftune" else _peer(peer, data, options.steps)
    print(file=sys.stderr)  # noqa: T201
    sizes = [result["parameters"] for result in found.values()]
    # A category of one row may be in one training split and not in the other: 128 weights.
    assert max(sizes) <= 1.02 * min(sizes), f"the peers did not train the same network: {found}"
    return found


def _peer(name: str, data: Path, steps: int) -> dict[str, Any]:
    script = str(Path(__file__).with_name("_peers.py"))
    return _last_line([sys.executable, script, name, str(data), str(steps)])


def _ftune(config: Path, out: Path) -> dict[str, Any]:
    command = str(Path(sys.executable).with_name("ftune"))
    found = _last_line([command, "optimize", str(config), "--json", "--quiet", "--out", str(out)])
    return {
        "steps": found["steps"],
        "seconds": found["train_seconds"],
        "parameters": found["parameters"]["total"],
    }


def _last_line(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def summarise(rounds: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Median steps per second of each peer, and median, least and largest ratio to the base."""
    speeds = [{peer: r["steps"] / r["seconds"] for peer, r in one.items()} for one in rounds]
    results = {}
    for peer in speeds[0]:
        ratios = [one[peer] / one[BASE] for one in speeds]
        results[peer] = {
            "steps_per_second": round(statistics.median(one[peer] for one in speeds), 1),
            "ratio": round(statistics.median(ratios), 3),
            "least": round(min(ratios), 3),
            "largest": round(max(ratios), 3),
        }
    return results


def _table(results: dict[str, dict[str, float]], options: argparse.Namespace) -> str:
    lines = [f"{'':<16} {'steps/s':>9} {'ratio':>7} {'least':>7} {'largest':>8}"]
    for peer, row in sorted(results.items(), key=lambda item: -item[1]["ratio"]):
        speed = f"{row['steps_per_second']:>9,.0f} {row['ratio']:>7.2f}"
        lines.append(f"{peer:<16} {speed} {row['least']:>7.2f} {row['largest']:>8.2f}")
    return "\n".join([*lines, f"medians of {options.rounds} rounds of {options.steps} steps"])


def configuration(csv: Path, steps: int) -> dict[str, Any]:
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


if __name__ == "__main__":
    main()
