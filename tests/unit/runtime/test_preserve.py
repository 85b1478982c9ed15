"""What a training sets for the whole process is as it was after a trial of a sweep."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.apart import apart, only_in_a_child
from support.trainings import configuration

from ftune.runtime.preserve import preserve_globals
from ftune.search import launch
from ftune.search.launch import LocalLauncher, TrialRequest
from ftune.training.run import Run
from ftune.training.train import train

CHANGED = {
    "threads", "dtype", "deterministic", "warnings", "signals", "torch", "numpy", "python",
}  # fmt: skip


def process_state() -> dict[str, Any]:
    """Return what `preserve_globals` promises to restore, by name."""
    return {
        "threads": torch.get_num_threads(),
        "dtype": str(torch.get_default_dtype()),
        "deterministic": torch.get_deterministic_debug_mode(),
        "warnings": repr(warnings.filters),
        "signals": {str(n): str(signal.getsignal(n)) for n in signal.valid_signals()},
        "torch": torch.get_rng_state().tolist(),
        "numpy": repr(np.random.get_state()),
        "python": random.getstate(),
    }


def train_carelessly(run: Run) -> dict[str, Any]:
    """Train, and change what a user's own model or an imported library may change as well."""
    only_in_a_child()
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    summary = train(run)
    torch.set_default_dtype(torch.float64)
    np.random.rand()
    random.random()
    return summary


def changes_of_a_trial(folder: Path, guarded: bool) -> set[str]:
    """Train a trial in this process; return the names of what is another now."""
    only_in_a_child()
    launch.train = train_carelessly  # type: ignore[attr-defined]
    if not guarded:
        launch.preserve_globals = contextlib.nullcontext  # type: ignore[attr-defined,assignment]
    # Whatever tests before this one have left: a change must be one.
    torch.use_deterministic_algorithms(False)
    torch.set_default_dtype(torch.float32)
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    warnings.resetwarnings()
    torch.set_num_threads(2)
    random.seed(1)
    before = process_state()
    config = configuration("train.epochs=1", "runtime.deterministic=true")
    summary = LocalLauncher(None)(TrialRequest(config, folder, lambda key: bool(key)), None)
    assert summary.status == "done", summary
    after = process_state()
    return {name for name in before if before[name] != after[name]}


def test_a_trial_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    assert apart(lambda: changes_of_a_trial(tmp_path / "trial", guarded=True)) == set()


def test_control_an_unguarded_trial_changes_all_of_it(tmp_path: Path) -> None:
    assert apart(lambda: changes_of_a_trial(tmp_path / "trial", guarded=False)) == CHANGED


def test_what_a_failure_left_is_restored_as_well() -> None:
    def fail() -> tuple[dict[str, Any], dict[str, Any]]:
        before = process_state()
        with pytest.raises(ValueError, match="burst"), preserve_globals():
            torch.manual_seed(os.getpid())
            torch.set_default_dtype(torch.float64)
            raise ValueError("burst")
        return before, process_state()

    before, after = apart(fail)
    assert before == after
