"""Seconds of steps and evaluations by their sizes, and the steps that fit into minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.trainings import QUIET, configuration

from ftune.commands.request import Request
from ftune.commands.sweep import first_trial
from ftune.commands.train import optimize
from ftune.errors import FtuneError, RequestError
from ftune.plan import time as plan_time
from ftune.plan.time import MARGIN, Speed, predicted
from ftune.runs.folder import RunFolder
from ftune.schema.root import LANGUAGE
from ftune.training.reach import Length

PLAIN: dict[str, Any] = {
    "task": "classification",
    "data": {"source": "sklearn", "name": "iris", "split": {"val": 30, "test": 0}},
    "model": {"name": "mlp", "width": 4},
    "optimizer": {"name": "sgd", "lr": 0.1},
    "runtime": {"threads": 1, "device": "cpu"},
}


def test_sizes_between_those_measured_lie_on_a_line() -> None:
    taken = [(10.0, 9.0), (10.0, 1.0), (30.0, 2.0)]  # the first of a size warms up
    assert predicted(taken, [10, 20, 30, 40]) == pytest.approx([1.0, 1.5, 2.0, 2.5])
    assert predicted(taken[:1], [10, 20]) == [9.0, 9.0]


def test_what_no_line_can_be_is_not_below_half_of_the_least() -> None:
    assert predicted([(10.0, 1.0), (20.0, 9.0)], [1]) == [0.5]


def test_steps_fill_the_time_that_evaluations_leave() -> None:
    speed = Speed(step=0.1, evaluation=1.0, final=2.0, steps_per_epoch=10, eval_every=10)
    assert speed.epoch == pytest.approx(2.0)
    steps = speed.steps_in(60)
    assert speed.whole(steps) <= MARGIN * 60 < speed.whole(steps + 1)


def test_a_time_for_no_step_is_refused() -> None:
    speed = Speed(step=10.0, evaluation=1.0, final=2.0, steps_per_epoch=10, eval_every=None)
    with pytest.raises(RequestError, match=r"train\.minutes: one step"):
        speed.steps_in(6)


def test_minutes_become_steps_of_the_run_and_the_run_is_that_of_its_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speed = Speed(step=0.5, evaluation=0.0, final=0.0, steps_per_epoch=2, eval_every=2)
    monkeypatch.setattr(plan_time, "measure", lambda _: speed)
    config = configuration("train.minutes=0.1", plain=PLAIN)
    done = optimize(Request(config, "t", tmp_path / "a", QUIET))
    assert done["steps"] == int(MARGIN * 6 / 0.5) == 11
    assert any(note.startswith("train.minutes: 0.1 minutes are 11 steps") for note in done["notes"])
    kept = LANGUAGE.load(RunFolder(tmp_path / "a").config_file)
    assert (kept.train.steps, kept.train.minutes) == (11, None)
    again = optimize(Request(kept, "t", tmp_path / "b", QUIET))
    assert again["metrics"] == done["metrics"]
    other = configuration("train.steps=9", plain=PLAIN)
    control = optimize(Request(other, "t", tmp_path / "c", QUIET))
    assert control["metrics"] != done["metrics"]


def test_minutes_beside_steps_are_refused() -> None:
    with pytest.raises(FtuneError, match=r"train\.minutes"):
        configuration("train.minutes=1", "train.steps=5", plain=PLAIN)


def test_a_sweep_takes_no_minutes() -> None:
    space = "sweep={scientific: {model.width: [2, 4]}}"
    with pytest.raises(RequestError, match=r"give `train\.steps`"):
        first_trial(configuration("train.minutes=1", space, plain=PLAIN), None)


def test_of_minutes_no_length_is_known() -> None:
    assert Length.declared(configuration("train.minutes=1", plain=PLAIN)) == Length(None, None)


@pytest.mark.parametrize("price", [None, 7.2])
def test_a_price_gives_the_cost(price: float | None, tmp_path: Path) -> None:
    config = configuration(f"runtime.price={price or 'null'}", "train.steps=2", plain=PLAIN)
    done = optimize(Request(config, "t", tmp_path / "run", QUIET))
    expected = None if price is None else pytest.approx(7.2 * done["seconds"] / 3600, abs=1e-5)
    assert done.get("cost") == expected
