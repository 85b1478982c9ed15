"""Seconds until `ftune --help` and `ftune check` are done, beside a bare Python."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from _measure import ROOT, Bench, main
from _ratios import Result, Table

FTUNE = str(Path(sys.executable).with_name("ftune"))
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "ftune --help": [FTUNE, "--help"],
    "ftune check": [FTUNE, "check", str(ROOT / "configs/digits.yaml")],
}


def timed(command: list[str], _: Result) -> Result:
    """The second of two runs: the first fills the file cache."""
    for _once in range(2):
        began = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        seconds = time.perf_counter() - began
    return {"seconds": seconds, "starts_per_second": 1 / seconds}


BENCH = Bench(
    script=__file__,
    about=__doc__ or "",
    prepare=lambda _: {},
    sides={name: partial(timed, command) for name, command in COMMANDS.items()},
    tables=[Table("startup", list(COMMANDS), ["python -c pass"], "starts_per_second")],
    rounds=10,
)

if __name__ == "__main__":
    sys.exit(main(BENCH))
