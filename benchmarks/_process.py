"""Processes of benchmarks: what they print, the most memory they held, what else ran meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class AbsentError(Exception):
    """What a benchmark needs and this machine has not."""


class FailedError(Exception):
    """A process that ended in an error; its last line."""


def last_line(command: Sequence[str]) -> dict[str, Any]:
    """What a command printed last, read as JSON; the number of threads is the command's choice."""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr, flush=True)  # noqa: T201
        last = (done.stderr.strip().splitlines() or [""])[-1]
        raise FailedError(f"exit {done.returncode}: {last}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def peak_bytes() -> int:
    """VmHWM: the most memory this process has held at once."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


class OtherWork:
    """The cores that other processes use, from now on: all work less that of our children."""

    def __init__(self) -> None:
        self.began, self.before = time.monotonic(), _seconds()

    def cores(self) -> float:
        return round(max(0.0, _seconds() - self.before) / (time.monotonic() - self.began), 2)


def _seconds() -> float:
    """CPU seconds of the machine (user, nice, system) less our own and our ended children's."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:4]
    return sum(map(int, fields)) / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])
