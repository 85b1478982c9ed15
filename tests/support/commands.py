"""The command itself, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

FTUNE = [sys.executable, "-m", "ftune.cli"]
CONFIG = """\
task: classification
data: {source: csv, path: t.csv, target: label}
model: {name: mlp, width: 8, depth: 1}
optimizer: {name: adamw, lr: 1e-2}
train: {epochs: 2, batch_size: 32}
runtime: {threads: 1}
"""


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


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "COLUMNS": "80", "FTUNE_TRACEBACK": "", **more}


def ftune(
    folder: Path, *words: str, code: int = 0, **more: str
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; every answer of 0, 1 or 2 comes without a traceback."""
    run = subprocess.run(
        [*FTUNE, *words], cwd=folder, capture_output=True, text=True, env=environment(**more)
    )
    assert run.returncode == code, (words, run.stdout, run.stderr)
    assert more or "Traceback" not in run.stdout + run.stderr
    return run


def interrupted(folder: Path, words: list[str], ready: Callable[[], bool]) -> str:
    """Starts a command, sends SIGINT once `ready`, and returns its stderr; the code is 130."""
    process = subprocess.Popen(
        [*FTUNE, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(),
    )  # fmt: skip
    while not ready() and process.poll() is None:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    return said
