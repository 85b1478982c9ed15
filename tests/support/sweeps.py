"""Tiny sweeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftune.commands.request import Request
from ftune.commands.resume import resume
from ftune.commands.sweep import sweep
from ftune.runs.folder import RunFolder
from support.trainings import EVERYTHING, QUIET, begun, configuration

PLAIN: dict[str, Any] = EVERYTHING | {
    "train": {"epochs": 4, "batch_size": 16, "log_every": 1, "checkpoint_every": {"steps": 2}},
    "schedule": "cosine",
    "eval": {"every": {"steps": 2}},
}
GRID = {"sweep": {"scientific": {"optimizer.lr": [0.001, 0.01, 0.1, 0.3, 1.0, 3.0]}}}
HALVING = {"sweep": {**GRID["sweep"], "halving": {"rungs": 3, "factor": 2}}}


def run_sweep(out: Path, block: Mapping[str, Any], *changes: str) -> dict[str, Any]:
    return sweep(Request(configuration(*changes, plain=PLAIN | dict(block)), "", out, QUIET))


def sweep_or_resume(out: Path, block: Mapping[str, Any]) -> None:
    """Begins a sweep or goes on with it; nothing to do when it is done."""
    if not begun(out):
        run_sweep(out, block)
    elif RunFolder(out).facts()["status"] != "done":
        resume(RunFolder(out), False, QUIET)
