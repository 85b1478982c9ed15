"""Sweeps that were killed, and what must be true of them afterwards."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna

from ftune.runs.folder import RunFolder
from ftune.search.scheduler import Scheduler
from ftune.search.study import Trial
from support.children import DONE, kill_at_random, launch, preload
from support.sweeps import sweep_or_resume
from support.trainings import assert_same, trace

Work = Callable[[Path, Mapping[str, Any]], None]

# Loaded before, so that a kill meets a sweep and not its imports.
preload("optuna.storages", "sqlalchemy.dialects.sqlite", "alembic.migration")


def kill_sweep(
    out: Path, block: Mapping[str, Any], kills: int, seed: int, longest: float = 0.8,
    work: Work = sweep_or_resume,
) -> int:  # fmt: skip
    """Runs a sweep through `kills` SIGKILLs at random instants to its end; how many hit it."""
    dice, hits = random.Random(seed), 0
    for _ in range(kills):
        hits += kill_at_random(launch(work, out, block), longest, dice) != DONE
    last = launch(work, out, block)
    last.join(240)
    assert last.exitcode == DONE
    return hits


def cut_off(out: Path, block: Mapping[str, Any], work: Work) -> None:
    """Kills a sweep inside its second trial, then lets it run to its end."""
    child = launch(work, out, block)
    while not (out / "trials" / "0001" / "run.json").exists():
        assert child.is_alive()
        time.sleep(0.001)
    child.kill()
    child.join()
    last = launch(work, out, block)
    last.join(240)
    assert last.exitcode == DONE


def check_sweep(out: Path, reference: Path) -> None:
    """Every place once, nothing open, and each number the undisturbed sweep's, bit for bit."""
    found, wanted = _trials(out), _trials(reference)
    assert all(t.state.is_finished() for t in found)
    assert [(t.params, t.state, t.value, t.intermediate_values) for t in found] == [
        (t.params, t.state, t.value, t.intermediate_values) for t in wanted
    ]
    for trial in found:
        name = f"trials/{trial.number:04d}"
        assert_same(trace(reference / name), trace(out / name))
    assert RunFolder(out).facts()["status"] == "done"


def forgets_the_open(out: Path, block: Mapping[str, Any]) -> None:
    """The negative control: goes on with new trials and leaves the one that was cut off."""

    def pending(self: Scheduler) -> Iterator[Trial]:
        while len(self.study.trials()) < self.count:
            yield self.study.ask()

    Scheduler.pending = pending  # type: ignore[method-assign]  # a child's own module
    sweep_or_resume(out, block)


def _trials(out: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="sweep", storage=f"sqlite:///{out}/study.db").trials
