"""Sweeps that were killed, and what must be true of them afterwards."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

from ftune.runs.folder import RunFolder
from support.children import DONE, kill_at_random, launch
from support.sweeps import sweep_or_resume
from support.trainings import assert_same, trace


def kill_sweep(out: Path, block: Mapping[str, Any], kills: int, seed: int) -> int:
    """Runs a sweep through `kills` SIGKILLs at random instants to its end; how many hit it."""
    dice, hits = random.Random(seed), 0
    for _ in range(kills):
        hits += kill_at_random(launch(sweep_or_resume, out, block), 1.5, dice) != DONE
    last = launch(sweep_or_resume, out, block)
    last.join(240)
    assert last.exitcode == DONE
    return hits


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


def _trials(out: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="sweep", storage=f"sqlite:///{out}/study.db").trials
