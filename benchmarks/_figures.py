"""Figures of shipped configurations beside their bars: measured, printed, judged."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ftune

# Each figure is a median over the seeds named in its row; a seed moves the split, the initial
# weights and the order of the rows. Seconds are those of all the row's trainings together.

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
DATA = ROOT / "../shared/data"


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


Cases = Mapping[str, Callable[[Path], list[Figure]]]


def measure(cases: Cases, about: str | None, words: Sequence[str] | None = None) -> int:
    """Measures the cases that `words` name, or all, and prints; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("cases", nargs="*", metavar="NAME", help=", ".join(cases))
    names = parser.parse_args(words).cases or list(cases)
    if unknown := set(names) - set(cases):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; accepted: {', '.join(cases)}")
    say(f"{'what':<46} {'bar':>8} {'figure':>8} {'seconds':>8}  seeds")
    passed = [_measured(name, cases[name]) for name in names]
    return 0 if all(passed) else 1


def _measured(name: str, case: Callable[[Path], list[Figure]]) -> bool:
    """Runs one case, prints its rows, and says whether all reach their bar."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            figures = case(Path(folder))
        except SkippedError as reason:
            say(f"{name:<46} skipped: {reason}")
            return True
    seconds = time.perf_counter() - began
    for index, figure in enumerate(figures):
        time_used = "" if index else f"{seconds:.0f}"
        seeds = " ".join(f"{value:.3g}" for value in figure.seeds)
        missed = "" if figure.passed else "  MISSED"
        say(
            f"{figure.what:<46} {figure.bar:>8.4g} {figure.value:>8.4g} {time_used:>8}  "
            f"{seeds}{missed}"
        )
    return all(figure.passed for figure in figures)


def run(
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


def test_accuracy(summary: dict[str, Any]) -> float:
    return float(summary["metrics"]["test"]["accuracy"])


def median(what: str, bar: float, values: Sequence[float]) -> Figure:
    return Figure(what, bar, statistics.median(values), values)


def data(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        raise SkippedError(f"{name} is not in {DATA}")
    return path.resolve()


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201
