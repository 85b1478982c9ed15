"""Every schedule of the table against torch's scheduler, where the definitions coincide."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as theirs

from ftune.config.fields import settings_of
from ftune.config.read import SettingError
from ftune.optim import SCHEDULES
from ftune.optim.schedule import Warmup

TOTAL, EPOCH = 120, 10
NO_WARMUP = Warmup(fraction=0.0)


def factors(name: str, **settings: Any) -> list[float]:
    schedule = SCHEDULES[name](**settings).build(TOTAL, EPOCH)
    return [schedule.factor(step) for step in range(TOTAL)]


def torch_factors(make: Callable[[torch.optim.Optimizer], theirs.LRScheduler]) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(TOTAL):
        rates.append(optimizer.param_groups[0]["lr"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # steps without an optimizer step
            scheduler.step()
    return rates


CASES: dict[str, tuple[str, dict[str, Any], Any]] = {
    "linear": (
        "linear",
        {"final": 0.1},
        lambda o: theirs.LinearLR(o, start_factor=1.0, end_factor=0.1, total_iters=TOTAL),
    ),
    "cosine": (
        "cosine",
        {"final": 0.01},
        lambda o: theirs.CosineAnnealingLR(o, T_max=TOTAL, eta_min=0.01),
    ),
    "restarts": (
        "cosine_restarts",
        {"cycles": 4, "final": 0.01},
        lambda o: theirs.CosineAnnealingWarmRestarts(o, T_0=TOTAL // 4, eta_min=0.01),
    ),
    "restarts that grow": (
        "cosine_restarts",
        {"cycles": 4, "growth": 2.0},
        lambda o: theirs.CosineAnnealingWarmRestarts(o, T_0=TOTAL // 15, T_mult=2),
    ),
    "one cycle": (
        "one_cycle",
        {"peak_at": 0.25, "initial": 0.1, "final": 1e-3},
        lambda o: theirs.OneCycleLR(
            o, 1.0, TOTAL, pct_start=0.25, div_factor=10, final_div_factor=100, cycle_momentum=False
        ),
    ),
    "step every": (
        "step",
        {"every": 3.0, "gamma": 0.5},
        lambda o: theirs.StepLR(o, step_size=3 * EPOCH, gamma=0.5),
    ),
    "step at": (
        "step",
        {"at": [0.7, 0.2], "gamma": 0.5},
        lambda o: theirs.MultiStepLR(o, milestones=[24, 84], gamma=0.5),
    ),
    "exponential by epoch": (
        "exponential",
        {"gamma": 0.8},
        lambda o: theirs.ExponentialLR(o, gamma=0.8 ** (1 / EPOCH)),
    ),
    "exponential to the end": (
        "exponential",
        {"final": 0.05},
        lambda o: theirs.ExponentialLR(o, gamma=0.05 ** (1 / TOTAL)),
    ),
    "polynomial": (
        "polynomial",
        {"power": 3.0},
        lambda o: theirs.PolynomialLR(o, total_iters=TOTAL, power=3.0),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_same_as_torch(case: str) -> None:
    name, settings, make = CASES[case]
    if name != "one_cycle":
        settings = settings | {"warmup": NO_WARMUP}
    assert factors(name, **settings) == pytest.approx(torch_factors(make), abs=1e-9)


def test_warmup_is_torchs_linear_ramp_then_the_whole_shape() -> None:
    def make(optimizer: torch.optim.Optimizer) -> theirs.LRScheduler:
        ramp = theirs.LinearLR(optimizer, start_factor=1 / 21, total_iters=20)
        rest = theirs.CosineAnnealingLR(optimizer, T_max=TOTAL - 20)
        return theirs.SequentialLR(optimizer, [ramp, rest], milestones=[20])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = torch_factors(make)
    assert factors("cosine", warmup=Warmup(steps=20)) == pytest.approx(expected, abs=1e-9)
    assert factors("cosine", warmup=Warmup(fraction=1 / 6)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", [n for n in SCHEDULES if n != "one_cycle"])
def test_warmup_rises_linearly_to_the_peak(name: str) -> None:
    rates = factors(name, warmup=Warmup(steps=9))
    assert rates[:10] == pytest.approx([(t + 1) / 10 for t in range(10)])
    assert max(rates) == 1.0


def test_only_constant_has_no_warmup_unless_asked() -> None:
    for name in SCHEDULES:
        if "warmup" in settings_of(SCHEDULES[name]):
            assert (factors(name)[0] == 1.0) == (name == "constant")


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("total", [1, 2, 3, 7])
def test_tiny_trainings_and_steps_past_the_end_stay_within_bounds(name: str, total: int) -> None:
    schedule = SCHEDULES[name]().build(total, 1)
    assert all(0 <= schedule.factor(step) <= 1 for step in range(total + 5))
    assert schedule.factor(0) > 0


def test_wsd_is_level_then_falls() -> None:
    rates = factors("wsd", warmup=NO_WARMUP, decay=0.25, final=0.2)
    assert rates[:91] == [1.0] * 91
    assert rates[90:] == pytest.approx([1 - 0.8 * t / 30 for t in range(30)])
    bent = factors("wsd", warmup=NO_WARMUP, decay=0.25, shape="sqrt")
    assert bent[90:] == pytest.approx([1 - math.sqrt(t / 30) for t in range(30)])


def test_wsd_refuses_more_than_all_steps() -> None:
    with pytest.raises(SettingError, match="more than all steps"):
        SCHEDULES["wsd"](warmup=Warmup(fraction=0.5), decay=0.6)
    SCHEDULES["wsd"](warmup=Warmup(fraction=0.5), decay=0.5)


def test_step_takes_shares_or_epochs_not_both() -> None:
    with pytest.raises(SettingError, match="either"):
        SCHEDULES["step"](at=[0.5], every=2.0)
    assert factors("step", at=[0.5, 0.75]) == factors("step")


def plateau(**settings: Any) -> Any:
    return SCHEDULES["plateau"](warmup=NO_WARMUP, **settings).build(TOTAL, EPOCH)


VALUES = [
    3,
    2,
    2.5,
    2.4,
    2.3,
    2.2,
    1.9999,
    1.9,
    1.8,
    1.9,
    1.9,
    1.9,
    1.9,
    1.9,
    1.7,
    9,
    9,
    9,
    9,
    9,
    9,
]


def test_plateau_is_torchs_while_values_are_positive() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = theirs.ReduceLROnPlateau(
        optimizer, factor=0.3, patience=2, threshold=1e-2, min_lr=0.05
    )
    schedule = plateau(factor=0.3, patience=2, threshold=1e-2, minimum=0.05)
    seen = []
    for value in VALUES:
        reference.step(value)
        schedule.observe(float(value))
        seen.append(schedule.factor(50))
        assert seen[-1] == pytest.approx(optimizer.param_groups[0]["lr"])
    assert len(set(seen)) >= 4


def test_plateau_knows_that_less_negative_is_worse() -> None:
    schedule = plateau(patience=0, threshold=0.1, factor=0.5)
    schedule.observe(-0.9)
    schedule.observe(-0.85)  # torch's relative threshold takes this for an improvement
    assert schedule.factor(0) == 0.5


def test_plateau_takes_no_nan_for_a_best_value() -> None:
    schedule = plateau(patience=5)
    schedule.observe(math.nan)
    schedule.observe(1.0)
    schedule.observe(math.nan)
    assert schedule.state()["best"] == 1.0


def test_plateau_continues_from_its_state() -> None:
    whole, first, second = (plateau(factor=0.3, patience=1) for _ in range(3))
    for value in VALUES:
        whole.observe(value)
    for value in VALUES[:11]:
        first.observe(value)
    assert first.state() != second.state()
    second.load(json.loads(json.dumps(first.state())))
    for value in VALUES[11:]:
        second.observe(value)
    assert second.state() == whole.state()
    assert second.factor(0) == whole.factor(0) < 1


@pytest.mark.parametrize("name", SCHEDULES)
def test_state_is_json_and_returns(name: str) -> None:
    schedule = SCHEDULES[name]().build(TOTAL, EPOCH)
    schedule.observe(1.0)
    again = SCHEDULES[name]().build(TOTAL, EPOCH)
    again.load(json.loads(json.dumps(schedule.state())))
    assert [again.factor(t) for t in range(TOTAL)] == [schedule.factor(t) for t in range(TOTAL)]
