"""What the shipped configurations reach: digits, mymodel, adult, housing, features, transfer."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from _figures import Cases, Figure, data, measure, median, run, test_accuracy

import ftune

SHAPES = {
    "layer1.weight": (50, 100),
    "layer1.bias": (50,),
    "layer2.weight": (10, 50),
    "layer2.bias": (10,),
}


def digits(out: Path) -> list[Figure]:
    """The shipped convolutional network."""
    return [_accuracy("digits: test accuracy", 0.97, "digits.yaml", out)]


def mymodel(out: Path) -> list[Figure]:
    """100-50-10 with the names and shapes of its origin, and its three variations."""
    found = [_accuracy("mymodel: test accuracy", 0.94, "mymodel.yaml", out)]
    model = ftune.load(out / "mymodel.yaml-0").built.module
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    same = float(shapes == SHAPES)
    found.append(Figure("mymodel: names and shapes as declared", 1.0, same, [same]))
    for change in ("structure", "parameters", "strategy"):
        config = f"mymodel-{change}.yaml"
        found.append(_accuracy(f"mymodel-{change}: test accuracy", 0.94, config, out))
    return found


def adult(out: Path) -> list[Figure]:
    """Census income."""
    where = [f"data.path={data('adult.csv')}"]
    return [_accuracy("adult: test accuracy", 0.852, "adult.yaml", out, where)]


def housing(out: Path) -> list[Figure]:
    """Prices of houses."""
    where = [f"data.path={data('housing.csv')}"]
    values = [
        run("optimize", "housing.yaml", s, out, where)["metrics"]["test"]["r2"] for s in range(3)
    ]
    return [median("housing: test R2", 0.79, values)]


def features(out: Path) -> list[Figure]:
    """New columns: the start equals the base, and the end is not worse."""
    where = [f"data.path={data('adult.csv')}"]
    gains, starts = [], []
    for seed in range(3):
        base = run("optimize", "features/base.yaml", seed, out, where)
        new = run("finetune", "features/new.yaml", seed, out, where, base["run"])
        first = json.loads((Path(new["run"]) / "metrics.jsonl").read_text().partition("\n")[0])
        assert first["step"] == 0 and first["split"] == "val", first
        starts.append(abs(first["loss"] - base["metrics"]["val"]["loss"]))
        gains.append(test_accuracy(new) - test_accuracy(base))
    return [
        Figure("features: loss before step 1, off by", 1e-6, max(starts), starts, at_most=True),
        median("features: accuracy gained", 0.0, gains),
    ]


def transfer(out: Path) -> list[Figure]:
    """Digits 5 to 9 from a network that knows 0 to 4, against the same training from scratch."""
    tuned, scratch = [], []
    for seed in range(5):
        base = run("optimize", "transfer/base.yaml", seed, out)
        new = "transfer/new.yaml"
        tuned.append(test_accuracy(run("finetune", new, seed, out, base=base["run"])))
        scratch.append(test_accuracy(run("optimize", new, seed, out)))
    gain = statistics.median(tuned) - statistics.median(scratch)
    return [
        median("transfer: accuracy with --base", 0.0, tuned),
        median("transfer: accuracy from scratch", 0.0, scratch),
        Figure("transfer: gain", 0.05, gain, [a - b for a, b in zip(tuned, scratch, strict=True)]),
    ]


CASES: Cases = {
    case.__name__: case for case in (digits, mymodel, adult, housing, features, transfer)
}


def _accuracy(what: str, bar: float, config: str, out: Path, changes: Sequence[str] = ()) -> Figure:
    values = [test_accuracy(run("optimize", config, s, out, changes)) for s in range(3)]
    return median(what, bar, values)


if __name__ == "__main__":
    sys.exit(measure(CASES, __doc__))
