"""Launchers, which train one trial of a sweep; today's trains it in this process.

Any `(TrialRequest, divisor) -> Summary` is a launcher, in another process or for several trials at
once as well: the scheduler asks for nothing else.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ftune.assembly.build import base_pipeline, build, read_data
from ftune.config.dump import dump
from ftune.console import Console
from ftune.data.dataset import Dataset
from ftune.errors import CheckpointError, InterruptedRunError, LockedError
from ftune.runs.base import Base
from ftune.runs.folder import RunFolder
from ftune.runs.lock import Lock
from ftune.runtime.preserve import preserve_globals
from ftune.schema.root import RunConfig
from ftune.search.duplicates import training_key
from ftune.search.failures import failure_reason
from ftune.search.lr_find import resolve_auto_lr
from ftune.training.reopen import reopen
from ftune.training.run import Run, new_run
from ftune.training.train import train


@dataclass(frozen=True)
class TrialRequest:
    """A trial to be trained: a function of its configuration and its folder.

    claim: takes the key of the built training; returns False where an earlier trial has trained the
    same, so that this one must not be.
    """

    config: RunConfig
    folder: Path
    claim: Callable[[str], bool]

    @property
    def begun(self) -> bool:
        return (self.folder / "run.json").exists()


@dataclass(frozen=True)
class Summary:
    """How a launched trial ended. value: the best of the selection metric, in its own direction.

    `paused` trials stopped at a rung, `duplicate` ones were not trained, as their claim failed.
    """

    status: Literal["done", "paused", "failed", "duplicate"]
    value: float | None = None
    reason: str = ""


Launcher = Callable[[TrialRequest, int | None], Summary]
"""Trains a trial to 1/divisor of its steps, or to the end without a divisor.

A trial begun before continues. What concerns this trial alone comes back as `failed`. Raises
InterruptedRunError after a signal, and whatever forbids to go on with the sweep.
"""


class LocalLauncher:
    """Trains each trial in this process, whose global state it leaves as it was."""

    def __init__(self, base: Base | None) -> None:
        self.base, self.console = base, Console(json_output=True, quiet=True)
        self._data: tuple[str, Dataset] | None = None

    def __call__(self, request: TrialRequest, divisor: int | None) -> Summary:
        with preserve_globals():
            run = _begun(request, self.console)
            try:
                if isinstance(run, Summary):
                    return run
                run = run or self._new(request)
                return _trained(run, divisor) if run else Summary("duplicate")
            except InterruptedRunError:
                raise
            except Exception as error:  # also of the user's own parts, or of torch
                return _failed(request.folder, failure_reason(error))

    def _new(self, request: TrialRequest) -> Run | None:
        """Return the trial's run before its first step, or None for a duplicate."""
        if request.folder.exists():  # killed while it was being made, or damaged
            with Lock.take(request.folder):
                shutil.rmtree(request.folder, ignore_errors=True)
        dataset = self._dataset(request.config)
        config, notes = resolve_auto_lr(request.config, dataset, self.base)
        parts = build(config, dataset, self.base)
        if not request.claim(training_key(config, parts)):
            return None
        parts.notes += notes
        command = "finetune" if self.base else "optimize"
        return new_run(command, "", request.folder, config, parts, self.console)

    def _dataset(self, config: RunConfig) -> Dataset:
        """Return the data of a trial, which is read again only where the settings of it differ."""
        key = json.dumps([dump(config.data), dump(config.task), config.seed], default=str)
        if self._data is None or self._data[0] != key:
            self._data = (key, read_data(config, prior=base_pipeline(self.base)))
        return self._data[1]


def _begun(request: TrialRequest, console: Console) -> Run | Summary | None:
    """Return a trial's run at its checkpoint, the summary of a finished one, else None.

    Raises RequestError where it cannot be continued exactly, LockedError where another process
    writes it: both concern the whole sweep.
    """
    if not request.begun:
        return None
    folder = RunFolder(request.folder)
    try:
        if folder.record.status == "done":
            return _summary("done", folder)
        return reopen(folder, console)
    except CheckpointError:  # every checkpoint is damaged
        return None


def _trained(run: Run, divisor: int | None) -> Summary:
    """Train up to a rung or the end; the folder is free again afterwards."""
    with run.folder:
        if divisor:
            run.pause_at = _rung_step(run, divisor)
        status = train(run)["status"]
        return _summary(status, run.folder)


def _summary(status: Literal["done", "paused"], folder: RunFolder) -> Summary:
    best = folder.summary.best
    if best is None:
        return Summary("failed", reason="the metric was never a finite number")
    return Summary(status, best.value)


def _rung_step(run: Run, divisor: int) -> int:
    """Return the step to pause at: the first evaluation from 1/divisor of the training on."""
    every = run.parts.eval_every or 1
    return min(run.parts.total, every * math.ceil(run.parts.total / divisor / every))


def _failed(path: Path, reason: str) -> Summary:
    """Write a failure into the trial's folder, if there is one that takes it."""
    folder = RunFolder(path)
    with suppress(OSError, LockedError):  # a full disk, which may be the reason itself
        if (path / "run.json").exists():
            with folder.locked():
                folder.describe(status="failed", reason=reason)
    return Summary("failed", reason=reason)
