"""What the shipped configurations reach: digits, mymodel, adult, housing, features, transfer."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ftune

# Each figure is a median over the seeds named in its row; a seed moves the split, the initial
# weights and the order of the rows. Seconds are those of all the row's trainings together.

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
DATA = ROOT / "../shared/data"

SHAPES = {
    "layer1.weight": (50, 100),
    "layer1.bias": (50,),
    "layer2.weight": (10, 50),
    "layer2.bias": (10,),
}


class SkippedError(Exception):
    """A figure that cannot be taken here, with the reason."""


@dataclass(frozen=True)
class Figure:
    """One row: what was measured, its bar (least, or at most), the figure, each seed's value."""

    what: str
    bar: float
    value: float
    seeds: Sequence[float]
    at_most: bool = False

    @property
    def passed(self) -> bool:
        return self.value <= self.bar if self.at_most else self.value >= self.bar


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
    where = [f"data.path={_data('adult.csv')}"]
    return [_accuracy("adult: test accuracy", 0.852, "adult.yaml", out, where)]


def housing(out: Path) -> list[Figure]:
    """Prices of houses."""
    where = [f"data.path={_data('housing.csv')}"]
    values = [
        _run("optimize", "housing.yaml", s, out, where)["metrics"]["test"]["r2"] for s in range(3)
    ]
    return [_median("housing: test R2", 0.79, values)]


def features(out: Path) -> list[Figure]:
    """New columns: the start equals the base, and the end is not worse."""
    where = [f"data.path={_data('adult.csv')}"]
    gains, starts = [], []
    for seed in range(3):
        base = _run("optimize", "features/base.yaml", seed, out, where)
        new = _run("finetune", "features/new.yaml", seed, out, where, base["run"])
        first = json.loads((Path(new["run"]) / "metrics.jsonl").read_text().partition("\n")[0])
        assert first["step"] == 0 and first["split"] == "val", first
        starts.append(abs(first["loss"] - base["metrics"]["val"]["loss"]))
        gains.append(_test_accuracy(new) - _test_accuracy(base))
    return [
        Figure("features: loss before step 1, off by", 1e-6, max(starts), starts, at_most=True),
        _median("features: accuracy gained", 0.0, gains),
    ]


def transfer(out: Path) -> list[Figure]:
    """Digits 5 to 9 from a network that knows 0 to 4, against the same training from scratch."""
    tuned, scratch = [], []
    for seed in range(5):
        base = _run("optimize", "transfer/base.yaml", seed, out)
        new = "transfer/new.yaml"
        tuned.append(_test_accuracy(_run("finetune", new, seed, out, base=base["run"])))
        scratch.append(_test_accuracy(_run("optimize", new, seed, out)))
    gain = statistics.median(tuned) - statistics.median(scratch)
    return [
        _median("transfer: accuracy with --base", 0.0, tuned),
        _median("transfer: accuracy from scratch", 0.0, scratch),
        Figure("transfer: gain", 0.05, gain, [a - b for a, b in zip(tuned, scratch, strict=True)]),
    ]


CASES: dict[str, Callable[[Path], list[Figure]]] = {
    case.__name__: case for case in (digits, mymodel, adult, housing, features, transfer)
}


def main(words: Sequence[str] | None = None) -> int:
    """Measures and prints; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(prog="bench acceptance", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="NAME", help=", ".join(CASES))
    names = parser.parse_args(words).cases or list(CASES)
    if unknown := set(names) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; accepted: {', '.join(CASES)}")
    _say(f"{'what':<40} {'bar':>8} {'figure':>8} {'seconds':>8}  seeds")
    passed = [_measured(name) for name in names]
    return 0 if all(passed) else 1


def _measured(name: str) -> bool:
    """Runs one case, prints its rows, and says whether all reach their bar."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            figures = CASES[name](Path(folder))
        except SkippedError as reason:
            _say(f"{name:<40} skipped: {reason}")
            return True
    seconds = time.perf_counter() - began
    for index, figure in enumerate(figures):
        time_used = "" if index else f"{seconds:.0f}"
        seeds = " ".join(f"{value:.3g}" for value in figure.seeds)
        missed = "" if figure.passed else "  MISSED"
        _say(
            f"{figure.what:<40} {figure.bar:>8.4g} {figure.value:>8.4g} {time_used:>8}  "
            f"{seeds}{missed}"
        )
    return all(figure.passed for figure in figures)


def _accuracy(what: str, bar: float, config: str, out: Path, changes: Sequence[str] = ()) -> Figure:
    values = [_test_accuracy(_run("optimize", config, s, out, changes)) for s in range(3)]
    return _median(what, bar, values)


def _run(
    command: str,
    config: str,
    seed: int,
    out: Path,
    changes: Sequence[str] = (),
    base: str | None = None,
) -> dict[str, Any]:
    """One training's summary; its folder is named by the configuration and the seed."""
    prefix = "tuned-" if base else ""
    folder = out / f"{prefix}{config.replace('/', '-')}-{seed}"
    words = [*changes, f"seed={seed}"]
    return ftune.run(command, CONFIGS / config, words, base=base, out=folder)


def _test_accuracy(summary: dict[str, Any]) -> float:
    return float(summary["metrics"]["test"]["accuracy"])


def _median(what: str, bar: float, values: Sequence[float]) -> Figure:
    return Figure(what, bar, statistics.median(values), values)


def _data(name: str) -> Path:
    path = DATA / name
    if not path.is_file():
        raise SkippedError(f"{name} is not in {DATA}")
    return path.resolve()


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
