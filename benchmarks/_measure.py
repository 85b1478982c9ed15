"""Sides measured in turn, each run in a process of its own; medians, ratios, peaks of memory."""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import _results
from _process import AbsentError, FailedError, OtherWork, last_line
from _ratios import Result, Table, is_figure, rows

# A round runs every side once, each next round begins one side later, and a ratio is taken within
# its round: what slows the machine for a while slows the sides that are compared.

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "../shared/data"

Side = Callable[[Result], Result]
"""Gets the specification that `prepare` wrote, returns figures."""


@dataclass(frozen=True)
class Bench:
    """A benchmark: how it is prepared, its sides by name, what is compared, what else is said.

    prepare: options, and a `folder` that lasts -> the specification that the sides get.
    notes: the results of all rounds -> sentences below the tables. seconds: no run begins later.
    """

    script: str
    about: str
    prepare: Side
    sides: dict[str, Side]
    tables: Sequence[Table]
    options: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    notes: Callable[[Mapping[str, Sequence[Result]]], list[str]] = lambda _: []
    rounds: int = 3
    seconds: float = math.inf
    machine: Callable[[], str] = _results.machine


def main(bench: Bench) -> int:
    """Measure, print and record; or, in a child process, run one side. 1 where a side failed."""
    if sys.argv[1:2] == ["--child"]:
        side, file = sys.argv[2:]
        return _child((bench.sides | {"prepare": bench.prepare})[side], file)
    options, name = _options(bench), Path(bench.script).stem
    others = OtherWork()
    try:
        with tempfile.TemporaryDirectory() as folder:
            results, missing = _measured(bench, options, Path(folder))
    except AbsentError as reason:
        say(f"{name}: not measured: {reason}")
        return 0
    tables = [rows(table, results) for table in bench.tables]
    result = {
        "about": bench.about,
        "settings": {k: v for k, v in vars(options).items() if type(v) in (int, str)},
        "other_work": others.cores(),
        "tables": [table for table in tables if table["rows"]],
        "notes": [*bench.notes(results), *missing],
    }
    say(_results.section(name, result))
    if not options.dry and not options.sides:  # some sides alone would take the place of all
        _results.record(name, result, bench.machine())
    return int(any(" failed: " in line for line in missing))


def _options(bench: Bench) -> argparse.Namespace:
    name = Path(bench.script).stem
    parser = argparse.ArgumentParser(prog=f"bench {name}", description=bench.about)
    parser.add_argument("sides", nargs="*", help=f"of {', '.join(bench.sides)}; default: all")
    parser.add_argument("--rounds", type=int, default=bench.rounds)
    parser.add_argument("--dry", action="store_true", help="print only, record nothing")
    for option, (default, text) in bench.options.items():
        parser.add_argument(f"--{option}", type=type(default), default=default, help=text)
    options = parser.parse_args()
    if unknown := set(options.sides) - set(bench.sides):
        parser.error(
            f"no such side: {', '.join(sorted(unknown))}; accepted: {', '.join(bench.sides)}"
        )
    return options


def _measured(
    bench: Bench, options: argparse.Namespace, folder: Path
) -> tuple[dict[str, list[Result]], list[str]]:
    """The results of each side, round by round, and why some are missing."""
    once = {side for table in bench.tables for side in table.once}
    began, file = time.monotonic(), folder / "spec.json"
    asked = {k: v for k, v in vars(options).items() if k != "sides"}
    file.write_text(json.dumps(asked | {"folder": str(folder)}, default=str))
    file.write_text(json.dumps(_in_child(bench, "prepare", file)))
    left = [side for side in bench.sides if side in (options.sides or bench.sides)]
    results: dict[str, list[Result]] = {side: [] for side in left}
    missing: dict[str, str] = {}
    for index in range(options.rounds):
        turn = index % len(left) if left else 0
        for side in left[turn:] + left[:turn]:
            try:
                if time.monotonic() - began > bench.seconds:
                    raise AbsentError(f"after {bench.seconds:.0f} s no run is begun")
                results[side].append(_in_child(bench, side, file))
                _report(index, side, results[side][-1])
            except (AbsentError, FailedError) as reason:
                word = "failed" if isinstance(reason, FailedError) else "not measured"
                missing[side] = f"{side}, round {index + 1}, {word}: {reason}"
        left = [side for side in left if side not in once and side not in missing]
    return {side: found for side, found in results.items() if found}, list(missing.values())


def _report(index: int, side: str, result: Result) -> None:
    figures = " ".join(f"{k}={v:.4g}" for k, v in result.items() if is_figure(v))
    print(f"round {index + 1} {side}: {figures}", file=sys.stderr, flush=True)  # noqa: T201


def _in_child(bench: Bench, side: str, file: Path) -> Result:
    result = last_line([sys.executable, bench.script, "--child", side, str(file)])
    if "absent" in result:
        raise AbsentError(result["absent"])
    return result


def _child(side: Side, file: str) -> int:
    """Run one side; what it lacks is a result too."""
    from ftune.errors import FtuneError

    try:
        result = side(json.loads(Path(file).read_text()))
    except (AbsentError, FtuneError) as reason:
        result = {"absent": textwrap.shorten(str(reason), 200)}
    say(json.dumps(result))
    return 0


def data(path: Path | str, name: str) -> Path:
    """A data set below `--data`; raises AbsentError where it is not there."""
    target = Path(path) / name
    if not target.exists():
        raise AbsentError(f"{name} is not in {path}; give the folder of data sets by --data")
    return target.resolve()


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201
