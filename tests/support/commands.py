"""The command itself, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path


def start(*words: str) -> subprocess.Popen[str]:
    """`ftune …`, with its summary as JSON."""
    return subprocess.Popen(
        [sys.executable, "-m", "ftune.cli", *words, "--json", "--quiet"],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def reached(out: Path, step: int, child: subprocess.Popen[str]) -> None:
    """Waits until a checkpoint of that step or a later one lies on the disk."""
    until = time.monotonic() + 120
    while time.monotonic() < until and child.poll() is None:
        if any(int(p.name[5:]) >= step for p in (out / "checkpoints").glob("step-*")):
            return
        time.sleep(0.01)
    raise AssertionError(f"step {step} never came: {child.communicate()}")
