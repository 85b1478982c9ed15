"""A large table, and the memory that checking and reading it take."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ftune.commands.check import check
from ftune.console import Console
from ftune.data import SOURCES
from ftune.schema.root import LANGUAGE


def write_csv(path: Path, size: int) -> Path:
    """Six columns of numbers and one of words, again and again until the size is reached."""
    dice = np.random.default_rng(0)
    numbers = dice.normal(size=(20_000, 6))
    block = "".join(
        ",".join(f"{x:.9f}" for x in row) + f",{'abc'[i % 3]}\n" for i, row in enumerate(numbers)
    ).encode()
    with path.open("wb") as out:
        out.write(b"a,b,c,d,e,f,y\n")
        for _ in range(max(1, size // len(block))):
            out.write(block)
    return path


def grown_by(file: Path) -> tuple[int, int, int]:
    """Bytes: what `ftune check` takes beyond its start, what reading takes, and the columns."""
    config = {"task": "classification", "model": {"name": "mlp"},
              "data": {"source": "csv", "path": str(file), "target": "y"}}  # fmt: skip

    def checked() -> int:
        check(file, LANGUAGE.of(config), Console(json_output=True, quiet=True))
        return 0

    def read() -> int:
        reader: Any = SOURCES["csv"]
        frame = reader(str(file)).read(str(file))
        return sum(column.nbytes for column in frame.columns.values())

    costs, sizes = zip(*(_in_a_fork(work) for work in (checked, read)), strict=True)
    return costs[0], costs[1], sizes[1]


# VmHWM and not ru_maxrss: a new process inherits the latter from the one that started it.
PEAK = """
import sys
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
bare = peak()
try:
    {change}
    import ftune.cli
    ftune.cli.main()
finally:
    print("GREW", peak() - bare)
"""
WHOLE = """
    from ftune.data.validation import validate
    validate.OPENERS[validate.Csv] = lambda path, source: validate.open_frame(source.read(path), "")
"""


def surveyed(file: Path, whole: bool = False) -> tuple[int, int, str]:
    """`ftune check --data` in a process of its own: exit code, bytes beyond a bare Python, stderr.

    whole: with a reader that holds the file.
    """
    config = file.with_suffix(".yaml")
    config.write_text(
        f"task: classification\nmodel: mlp\ndata: {{source: csv, path: {file}, target: y}}\n"
    )
    code = PEAK.format(change=WHOLE.strip() if whole else "pass")
    command = [sys.executable, "-c", code, "check", "--data", "--quiet", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, int(done.stdout.rpartition("GREW")[2]), done.stderr


def _in_a_fork(work: Callable[[], int]) -> tuple[int, int]:
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            result = work()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            os.write(theirs, f"{1024 * (peak - before)} {result}".encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as told:
        grown, size = (int(word) for word in told.read().split())
    os.waitpid(child, 0)
    return grown, size
