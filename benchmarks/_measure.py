"""Sides measured in turn, each run in a process of its own; medians, ratios, peaks of memory."""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import _results
from _ratios import Result, Table, is_figure, rows

# A round runs every side once, each next round begins one side later, and a ratio is taken within
# its round: what slows the machine for a while slows the sides that are compared.

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "../shared/data"

Side = Callable[[Result], Result]
"""Gets the specification that `prepare` wrote, returns figures."""


class AbsentError(Exception):
    """What a benchmark needs and this machine has not."""


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
    """Measure, print and record; or, in a child process, run one side."""
    if sys.argv[1:2] == ["--child"]:
        side, file = sys.argv[2:]
        return _child((bench.sides | {"prepare": bench.prepare})[side], file)
    options = _options(bench)
    load = os.getloadavg()[0]
    try:
        with tempfile.TemporaryDirectory() as name:
            results, absent = _measured(bench, options, Path(name))
    except AbsentError as reason:
        say(f"{Path(bench.script).stem}: not measured: {reason}")
        return 0
    notes = [*bench.notes(results), *absent]
    tables = [rows(table, results) for table in bench.tables]
    tables = [table for table in tables if table["rows"]]
    for table in tables:
        say("\n" + _results.markdown(table))
    say("\n".join(notes))
    if not options.dry:
        settings = {name: getattr(options, name) for name in ("rounds", *bench.options)}
        settings = {k: v for k, v in settings.items() if not isinstance(v, Path)}
        said = {"about": bench.about, "settings": settings, "load": round(load, 2)}
        found = {**said, "tables": tables, "notes": notes}
        _results.record(Path(bench.script).stem, found, bench.machine())
    return 0


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
    """The results of each side, round by round, and why a side has none."""
    once = {side for table in bench.tables for side in table.once}
    began, absent = time.monotonic(), list[str]()
    chosen = [side for side in bench.sides if side in (options.sides or bench.sides)]
    file = folder / "spec.json"
    asked = {k: v for k, v in vars(options).items() if k != "sides"}
    file.write_text(json.dumps(asked | {"folder": str(folder)}, default=str))
    prepared = _in_child(bench, "prepare", file)
    if "absent" in prepared:
        raise AbsentError(prepared["absent"])
    file.write_text(json.dumps(prepared))
    results: dict[str, list[Result]] = {side: [] for side in chosen}
    for index in range(options.rounds):
        turn = index % len(chosen)
        for side in chosen[turn:] + chosen[:turn]:
            if index and (side in once or not results[side]):
                continue
            if time.monotonic() - began > bench.seconds:
                absent.append(f"{side}: not in round {index + 1}, {bench.seconds:.0f} s were over")
                continue
            found = _in_child(bench, side, file)
            if "absent" in found:
                absent.append(f"{side}: not measured: {found['absent']}")
                continue
            results[side].append(found)
            figures = " ".join(f"{k}={_short(v)}" for k, v in found.items() if is_figure(v))
            print(f"round {index + 1} {side}: {figures}", file=sys.stderr, flush=True)  # noqa: T201
    return {side: found for side, found in results.items() if found}, absent


def _in_child(bench: Bench, side: str, file: Path) -> Result:
    return last_line([sys.executable, bench.script, "--child", side, str(file)])


def _child(side: Side, file: str) -> int:
    """Run one side; what it lacks is a result too."""
    from ftune.errors import FtuneError

    try:
        found = side(json.loads(Path(file).read_text()))
    except (AbsentError, FtuneError) as reason:
        found = {"absent": str(reason)}
    say(json.dumps(found))
    return 0


def last_line(command: Sequence[str]) -> Result:
    """What a command printed last, read as JSON; threads are left to the side."""
    kept = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=kept)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-3000:]}")
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def peak_bytes() -> int:
    """VmHWM: the most memory this process has held at once."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def data(path: Path | str, name: str) -> Path:
    """A data set below `--data`; raises AbsentError where it is not there."""
    found = Path(path) / name
    if not found.exists():
        raise AbsentError(f"{name} is not in {path}; give the folder of data sets by --data")
    return found.resolve()


def _short(value: float) -> str:
    return f"{value:.4g}"


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201
