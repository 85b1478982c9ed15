"""Seconds until `ftune --help` and `ftune check` are done, beside a bare Python."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measures the commands in turn, and prints medians."""
    parser = argparse.ArgumentParser(prog="bench startup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ftune = str(Path(sys.executable).with_name("ftune"))
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "ftune --help": [ftune, "--help"],
        "ftune check": [ftune, "check", str(ROOT / "configs/digits.yaml")],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(options.rounds + 1):  # the first round fills the file cache
        for name, command in commands.items():
            seconds[name].append(_timed(command))
    medians = {name: round(statistics.median(times[1:]), 3) for name, times in seconds.items()}
    if options.json:
        print(json.dumps({"rounds": options.rounds, "seconds": medians}))  # noqa: T201
        return
    for name, median in medians.items():
        print(f"{name:<16} {median:6.3f} s")  # noqa: T201
    print(f"medians of {options.rounds}")  # noqa: T201


def _timed(command: list[str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
