"""Running the trials of a sweep: to the end one by one, or rung by rung.

The study is the only record of what is done, and this process its only writer: whatever kills
the sweep, `resume` finds finished trials finished and continues open ones from their checkpoint.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ftune.build import base_pipeline, build, read_data
from ftune.config.dump import dump
from ftune.console import Console
from ftune.data.dataset import Dataset
from ftune.engine.selection import Selection
from ftune.errors import (
    CheckpointError,
    FtuneError,
    InterruptedRunError,
    LockedError,
    RequestError,
    RunFailedError,
)
from ftune.limits.form import of_form
from ftune.runs.base import Base
from ftune.runs.folder import RunFolder
from ftune.runs.lock import Lock
from ftune.schema.root import RunConfig
from ftune.schema.search import Sweep
from ftune.search.failures import alike_reason, in_words
from ftune.search.kept import kept_space
from ftune.search.lr_find import settle
from ftune.search.originals import Originals
from ftune.search.space import configured, grid_size, is_grid, parse_space, places
from ftune.search.study import Study, Trial
from ftune.secret.redact import redact
from ftune.training.reopen import reopen
from ftune.training.run import Run, new_run
from ftune.training.train import train

SAME_FAILURES = 5


@dataclass
class Executor:
    """Trains the trials of one sweep.

    plain: the configuration they vary. report: called after each trial or rung.
    """

    folder: RunFolder
    plain: Mapping[str, Any]
    sweep: Sweep
    base: Base | None
    selection: Selection
    report: Callable[[Sequence[Trial]], None]

    def __post_init__(self) -> None:
        self.space = kept_space(self.plain, self.sweep)
        sampler, seed = choose_sampler(self.sweep), self.plain.get("seed", 0)
        points = places(self.space, trial_count(self.sweep), seed) if sampler == "grid" else ()
        self.study = Study(
            self.folder.path / "study.db", self.space, sampler, seed, self.selection.mode, points
        )
        self.originals = Originals(self.plain, self.study)
        self.quiet = Console(json_output=True, quiet=True)
        self._data: tuple[str, Dataset] | None = None

    def run(self) -> list[Trial]:
        """Runs what is not done yet and returns every trial."""
        if self.sweep.halving:
            self._rungs(self.sweep.halving.rungs, self.sweep.halving.factor)
        else:
            self._one_by_one()
        return self.study.trials()

    def _one_by_one(self) -> None:
        for trial in self._fill():
            summary = self._train(trial, None)
            if summary is not None:
                self.study.tell(trial, summary["best"]["value"], "done")
            self.study.repeat()
            self.report(self.study.trials())

    def _rungs(self, rungs: int, factor: int) -> None:
        """Successive halving (Jamieson & Talwalkar 2016); survivors go on where they paused."""
        for trial in self._fill():
            self._climb(trial, 0, factor ** (rungs - 1))
        for rung in range(1, rungs):
            alive = [t for t in self.study.trials() if t.status == "open" and t.rungs]
            survivors = self._survivors(alive, rung, factor)
            for trial in alive:
                if trial.number not in survivors:
                    self.study.tell(trial, None, "pruned")
            self.study.repeat()
            for trial in alive:
                if trial.number in survivors:
                    self._climb(trial, rung, factor ** (rungs - 1 - rung))

    def _survivors(self, alive: list[Trial], rung: int, factor: int) -> set[int]:
        """Those that may climb to `rung`: the best of all that reached the rung below."""
        reached = [t for t in self.study.trials() if rung - 1 in t.rungs and t.same_as is None]
        best = sorted(reached, key=lambda t: self.selection.cost(t.rungs[rung - 1]))
        count = max(1, round(len(best) / factor))
        return {t.number for t in best[:count]} & {t.number for t in alive}

    def _climb(self, trial: Trial, rung: int, divisor: int) -> None:
        """Trains a trial up to a rung, unless it has been there."""
        if rung in trial.rungs or trial.status != "open":
            return
        summary = self._train(trial, divisor if divisor > 1 else None)
        self.study.repeat()
        if summary is None:
            return
        value = summary["best"]["value"]
        self.study.report(trial, rung, value)
        if summary["status"] == "done":
            self.study.tell(trial, value, "done")
            self.study.repeat()
        self.report(self.study.trials())

    def _fill(self) -> Iterator[Trial]:
        """Open trials first, then new ones until the number asked for is reached."""
        yield from [t for t in self.study.trials() if t.status == "open"]
        while len(self.study.trials()) < trial_count(self.sweep):
            yield self.study.ask()

    def _train(self, trial: Trial, divisor: int | None) -> dict[str, Any] | None:
        """One training; None where it failed or has the settings of an earlier trial.

        The study is told which of the two.
        """
        earlier = self._kept(trial)
        try:
            if earlier is None and self.originals.links(trial):
                return None
            run = earlier or self._new(trial)
            if run is None:
                return None
            summary = _trained(run, divisor)
            if summary["best"] is None:
                raise RunFailedError("the metric was never a finite number")
            return summary
        except InterruptedRunError:
            raise
        except FtuneError as error:
            self._fail(trial, str(error))
        except Exception as error:  # of the user's own parts, or of torch for these settings
            self._fail(trial, in_words(error))
        return None

    def _fail(self, trial: Trial, reason: str) -> None:
        """Ends one trial only; the fifth in a row that failed alike ends the sweep."""
        reason = redact(reason)
        folder = RunFolder(self._place(trial))
        with suppress(OSError, LockedError):  # a full disk, which may be the reason itself
            if (folder.path / "run.json").exists():
                with folder.locked():
                    folder.describe(status="failed", reason=reason)
        self.study.tell(trial, None, "failed", reason)
        self.report(self.study.trials())
        self._give_up_on_repetition(reason)

    def _kept(self, trial: Trial) -> Run | dict[str, Any] | None:
        """The trial's run where there is one: continued from its checkpoint, or done as it is.

        Raises RequestError where it cannot be continued exactly, or another process writes it:
        that concerns the whole sweep.
        """
        folder = RunFolder(self._place(trial))
        if not (folder.path / "run.json").exists():
            return None
        try:
            with of_form(str(folder.path)):
                if folder.facts()["status"] == "done":
                    return folder.summary()
                return reopen(folder, self.quiet)
        except CheckpointError:  # every checkpoint is damaged
            return None

    def _place(self, trial: Trial) -> Path:
        return self.folder.path / "trials" / f"{trial.number:04d}"

    def _new(self, trial: Trial) -> Run | None:
        """The trial's run at its beginning; None where an earlier trial trained the very same."""
        path = self._place(trial)
        if path.exists():  # killed while it was being made, or damaged
            with Lock.take(path):
                shutil.rmtree(path, ignore_errors=True)
        config = configured(self.plain, trial.params)
        dataset = self._dataset(config)
        config, notes = settle(config, dataset, self.base)
        parts = build(config, dataset, self.base)
        if self.originals.links(trial, parts):
            return None
        parts.notes += notes
        return new_run("finetune" if self.base else "optimize", "", path, parts, self.quiet)

    def _dataset(self, config: RunConfig) -> Dataset:
        """Read once for as long as the trials agree on it."""
        key = json.dumps([dump(config.data), dump(config.task), config.seed], default=str)
        if self._data is None or self._data[0] != key:
            prior = base_pipeline(self.base)
            self._data = (key, read_data(config, prior=prior))
        return self._data[1]

    def _give_up_on_repetition(self, reason: str) -> None:
        trials = [t for t in self.study.trials() if t.same_as is None]
        ended = [t for t in trials if t.status != "open"][-SAME_FAILURES:]
        alike = {alike_reason(t.reason) for t in ended}
        if len(ended) == SAME_FAILURES and alike == {alike_reason(reason)}:
            raise RunFailedError(f"{SAME_FAILURES} trials in a row failed alike: {reason}")


def choose_sampler(sweep: Sweep) -> str:
    """`auto` is the grid, or a part of it, where every axis is a list, else quasi-random."""
    lists = is_grid(parse_space(sweep))
    if sweep.sampler == "grid" and not lists:
        raise RequestError("sweep.sampler: a grid is of lists of values; for ranges, qmc or tpe")
    if sweep.sampler != "auto":
        return sweep.sampler
    return "grid" if lists else "qmc"


def trial_count(sweep: Sweep) -> int:
    """Trials of the whole sweep: never more than a grid has."""
    if choose_sampler(sweep) == "grid":
        size = grid_size(parse_space(sweep))
        return min(size, sweep.trials or size)
    return sweep.trials or 20


def best_config(plain: Mapping[str, Any], trial: Trial) -> dict[str, Any]:
    """The configuration of the best trial, without the sweep."""
    return dump(replace(configured(plain, trial.params), sweep=None))


def _trained(run: Run | dict[str, Any], divisor: int | None) -> dict[str, Any]:
    """Trains up to a rung or the end, unless it is done; the folder is free again afterwards."""
    if not isinstance(run, Run):
        return run
    with run.folder:
        if divisor:
            run.pause_at = _rung_step(run, divisor)
        return train(run)


def _rung_step(run: Run, divisor: int) -> int:
    """The step to pause at: a share of the training, at the next evaluation."""
    every = run.parts.config.eval_.every.in_steps(run.parts.batches.steps_per_epoch) or 1
    return min(run.parts.total, every * math.ceil(run.parts.total / divisor / every))
