"""The rate that `ftune lr-find` suggests, against a grid of whole trainings.

For each optimizer: the validation loss after a whole training at each rate, averaged over seeds;
the best of them; the suggestion; and the factor between the two. Bar: at most 3.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from pathlib import Path

import ftune
from ftune.errors import FtuneError

ROOT = Path(__file__).resolve().parents[1]
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
OPTIMIZERS = {
    "adamw": "optimizer={name: adamw, lr: 1e-3}",
    "sgd": "optimizer={name: sgd, momentum: 0.9, lr: 1e-3}",
}


def main() -> None:
    """Runs the grid and the finder for each optimizer, and prints a table."""
    parser = argparse.ArgumentParser(prog="bench lr_find", description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "configs/digits.yaml")
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    print(f"{'optimizer':9} {'best of grid':>12} {'suggested':>10} {'factor':>7}")  # noqa: T201
    for name, change in OPTIMIZERS.items():
        losses = {
            rate: grid_loss(arguments.config, change, rate, arguments.seeds) for rate in RATES
        }
        best = min(losses, key=lambda rate: losses[rate])
        with tempfile.TemporaryDirectory() as folder:
            found = ftune.run("lr-find", arguments.config, [change], out=f"{folder}/run")
        suggested = found["lr"]["suggested"]
        factor = max(best / suggested, suggested / best)
        print(f"{name:9} {best:12g} {suggested:10g} {factor:7.2f}")  # noqa: T201
        print("   " + " ".join(f"{r:g}:{loss:.4f}" for r, loss in losses.items()))  # noqa: T201


def grid_loss(config: Path, change: str, rate: float, seeds: int) -> float:
    """Validation loss at the end of a whole training, mean over seeds; inf where one diverged."""
    return statistics.mean(_loss(config, change, rate, seed) for seed in range(seeds))


def _loss(config: Path, change: str, rate: float, seed: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        changes = [change, f"optimizer.lr={rate}", f"seed={seed}"]
        try:
            ftune.run("optimize", config, changes, out=f"{folder}/run")
        except FtuneError:
            return math.inf
        lines = [
            json.loads(t) for t in Path(f"{folder}/run/metrics.jsonl").read_text().splitlines()
        ]
    return float([line["loss"] for line in lines if line["split"] == "val"][-1])


if __name__ == "__main__":
    main()
