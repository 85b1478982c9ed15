"""The scheduler needs nothing but a launcher: here one that trains nothing and makes up losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.trainings import EVERYTHING

from ftune.config.dump import dump
from ftune.engine.selection import Selection
from ftune.errors import InterruptedRunError
from ftune.schema.root import LANGUAGE
from ftune.search.launch import Summary, TrialRequest
from ftune.search.scheduler import Scheduler, SuccessiveHalving
from ftune.search.study import Study, Trial
from ftune.search.sweep import make_scheduler

Launch = tuple[int, int | None]
RATES = [3.0, 0.001, 0.01, 0.1, 0.3, 0.03, 1.0, 0.0001]
BEST_RATE = 0.1
GRID: dict[str, Any] = {"scientific": {"optimizer.lr": RATES}}
HALVING: dict[str, Any] = GRID | {"halving": {"rungs": 3, "factor": 2}}
UNDISTURBED = [
    *((number, 4) for number in range(8)),
    *((number, 2) for number in (2, 3, 4, 5)),
    *((number, None) for number in (3, 4)),
]
"""Launches of HALVING: all trials, then the better half twice, in the order of their numbers."""
STATUSES = ["pruned", "pruned", "pruned", "done", "done", "pruned", "pruned", "pruned"]


def loss(rate: float) -> float:
    return abs(math.log10(rate / BEST_RATE))


@dataclass
class FakeLauncher:
    """Trains nothing: the loss follows from the rate. launches: (trial, divisor), as asked for.

    interrupt_at: the launch in which a signal comes.
    """

    interrupt_at: Launch | None = None
    launches: list[Launch] = field(default_factory=list)

    def __call__(self, request: TrialRequest, divisor: int | None) -> Summary:
        number = int(request.folder.name)
        self.launches.append((number, divisor))
        if self.interrupt_at == (number, divisor):
            raise InterruptedRunError(15, None)
        rate = request.config.optimizer.lr
        assert isinstance(rate, float)
        return Summary("paused" if divisor else "done", loss(rate))


def scheduler(folder: Path, block: dict[str, Any], launcher: FakeLauncher) -> Scheduler:
    """Return the scheduler of a new sweep, or of the one begun in the folder."""
    folder.mkdir(exist_ok=True)
    config = LANGUAGE.of(EVERYTHING | {"sweep": block})
    assert config.sweep is not None
    reports: list[Sequence[Trial]] = []
    selection = Selection("loss", "min")
    return make_scheduler(folder, dump(config), config.sweep, selection, launcher, reports.append)


def run(folder: Path, block: dict[str, Any], launcher: FakeLauncher) -> list[Trial]:
    return scheduler(folder, block, launcher).run()


def test_grid(tmp_path: Path) -> None:
    launcher = FakeLauncher()
    trials = run(tmp_path, GRID, launcher)
    assert launcher.launches == [(number, None) for number in range(8)]
    assert [trial.params["optimizer.lr"] for trial in trials] == RATES
    assert [trial.value for trial in trials] == [loss(rate) for rate in RATES]
    assert {trial.status for trial in trials} == {"done"}


def test_tpe_learns_from_the_losses(tmp_path: Path) -> None:
    axis = {"low": 1e-6, "high": 10.0, "log": True}
    block = {"scientific": {"optimizer.lr": axis}, "sampler": "tpe", "trials": 40}
    trials = run(tmp_path, block, FakeLauncher())
    values = [trial.value or 0.0 for trial in trials]
    assert len(values) == 40 and {trial.status for trial in trials} == {"done"}
    assert sum(values[30:]) < sum(values[:10]) / 2


def test_halving_promotes_the_better_half_to_twice_the_steps(tmp_path: Path) -> None:
    launcher = FakeLauncher()
    trials = run(tmp_path, HALVING, launcher)
    assert launcher.launches == UNDISTURBED
    assert [trial.status for trial in trials] == STATUSES
    assert [sorted(trial.rungs) for trial in trials if trial.status == "done"] == [[0, 1, 2]] * 2


def test_greater_is_better_promotes_the_greatest() -> None:
    trials = [Trial(n, {}, "open", None, {0: value}) for n, value in enumerate((0.1, 0.9, 0.5))]
    promoted, pruned = SuccessiveHalving(Selection("accuracy", "max"), 2, 3).promote(trials, 1)
    assert [t.number for t in promoted] == [1] and [t.number for t in pruned] == [0, 2]


def test_settings_that_do_not_fit_fail_without_a_launch(tmp_path: Path) -> None:
    launcher = FakeLauncher()
    trials = run(tmp_path, {"scientific": {"optimizer.lr": [0.1, -1.0, 0.3]}}, launcher)
    assert [trial.status for trial in trials] == ["done", "failed", "done"]
    assert "optimizer.lr" in trials[1].reason
    assert [number for number, _ in launcher.launches] == [0, 2]


def test_interrupted_trial_goes_on_first(tmp_path: Path) -> None:
    with pytest.raises(InterruptedRunError):
        run(tmp_path, GRID, FakeLauncher((2, None)))
    resumed = FakeLauncher()
    trials = run(tmp_path, GRID, resumed)
    assert [number for number, _ in resumed.launches] == [2, 3, 4, 5, 6, 7]
    assert [trial.value for trial in trials] == [loss(rate) for rate in RATES]


@pytest.mark.parametrize("place", [5, 9, 13])
def test_resumed_halving_promotes_the_same(place: int, tmp_path: Path) -> None:
    with pytest.raises(InterruptedRunError):
        run(tmp_path, HALVING, FakeLauncher(UNDISTURBED[place]))
    resumed = FakeLauncher()
    trials = run(tmp_path, HALVING, resumed)
    assert resumed.launches == UNDISTURBED[place:]
    assert [trial.status for trial in trials] == STATUSES


def kill_before_the_end_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run HALVING until the first trial that is done has reported, but has not ended."""
    finish = Study.finish

    def die(study: Study, trial: Trial, value: float | None, status: Any, reason: str = "") -> None:
        if status == "done":
            raise KeyboardInterrupt
        finish(study, trial, value, status, reason)

    with monkeypatch.context() as patch:
        patch.setattr(Study, "finish", die)
        with pytest.raises(KeyboardInterrupt):
            run(folder, HALVING, FakeLauncher())


def test_killed_between_the_last_report_and_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_before_the_end_is_written(tmp_path, monkeypatch)
    resumed = FakeLauncher()
    resumption = scheduler(tmp_path, HALVING, resumed)
    trial = resumption.study.trials()[3]
    assert trial.status == "open" and 2 in trial.rungs, "the case is the one meant"
    trials = resumption.run()
    assert resumed.launches == [(3, None), (4, None)]
    assert [t.number for t in trials if t.status == "done"] == [3, 4]
    assert trials[3].value == loss(RATES[3])


def test_control_a_rung_that_is_skipped_leaves_the_trial_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a resume did before: whoever had been at the last rung was not launched again."""
    kill_before_the_end_is_written(tmp_path, monkeypatch)
    resumption = scheduler(tmp_path, HALVING, FakeLauncher())
    monkeypatch.setattr(SuccessiveHalving, "divisor", lambda _, rung: 2 ** (2 - rung))
    assert resumption.run()[3].status == "open"
