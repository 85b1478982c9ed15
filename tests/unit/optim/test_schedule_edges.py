"""Schedules over many lengths, at first and last steps, and where binary fractions mislead."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as theirs

from ftune.config.decimals import as_written, nearest_step
from ftune.config.read import SettingError
from ftune.optim import SCHEDULES
from ftune.optim.schedule import Warmup
from ftune.schema.interval import Every

NO_WARMUP = Warmup(fraction=0.0)
LENGTHS = (1, 2, 3, 4, 7, 10, 33, 100)
SHARES = [i / 100 for i in range(1, 100)]
Make = Callable[[torch.optim.Optimizer], theirs.LRScheduler]


def factors(name: str, total: int, epoch: int = 10, **settings: Any) -> list[float]:
    schedule = SCHEDULES[name](**settings).build(total, epoch)
    return [schedule.factor(step) for step in range(total)]


def by_torch(make: Make, total: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # steps without an optimizer step
        scheduler, rates = make(optimizer), []
        for step in range(total):
            rates.append(optimizer.param_groups[0]["lr"])
            if step < total - 1:
                scheduler.step()
    return rates


def smooth(total: int) -> dict[str, tuple[str, dict[str, Any], Make]]:
    return {
        "linear": ("linear", {"final": 0.1}, lambda o: theirs.LinearLR(o, 1.0, 0.1, total)),
        "cosine": ("cosine", {"final": 0.01}, lambda o: theirs.CosineAnnealingLR(o, total, 0.01)),
        "polynomial": ("polynomial", {"power": 3.0}, lambda o: theirs.PolynomialLR(o, total, 3.0)),
        "by epoch": (
            "exponential", {"gamma": 0.5}, lambda o: theirs.ExponentialLR(o, 0.5 ** (1 / 10))
        ),
        "to the end": (
            "exponential", {"final": 0.05}, lambda o: theirs.ExponentialLR(o, 0.05 ** (1 / total))
        ),
    }  # fmt: skip


@pytest.mark.parametrize("total", LENGTHS)
@pytest.mark.parametrize("case", smooth(1))
def test_smooth_ones_are_torchs_at_every_length(case: str, total: int) -> None:
    name, settings, make = smooth(total)[case]
    mine = factors(name, total, warmup=NO_WARMUP, **settings)
    assert mine == pytest.approx(by_torch(make, total), abs=1e-9)


@pytest.mark.parametrize("total", LENGTHS[1:])
@pytest.mark.parametrize("peak", [0.01, 0.07, 0.3, 0.5, 0.9, 0.95, 0.99])
def test_one_cycle_is_torchs_at_every_length(peak: float, total: int) -> None:
    """Also where the peak lies before the first step or between the last two."""
    if peak * total == 1:
        pytest.skip("torch divides by 0")
    mine = factors("one_cycle", total, peak_at=peak, initial=0.1, final=1e-3)

    def make(optimizer: torch.optim.Optimizer) -> theirs.LRScheduler:
        return theirs.OneCycleLR(
            optimizer, 1.0, total, pct_start=peak, div_factor=10, final_div_factor=100,
            cycle_momentum=False,
        )  # fmt: skip

    assert mine == pytest.approx(by_torch(make, total), abs=1e-9)


def test_one_cycle_of_one_step_is_at_the_peak_and_a_peak_at_the_start_is_one() -> None:
    """torch trains the only step at the final rate, and divides by 0 where peak_at is 1 / total."""
    assert factors("one_cycle", 1) == [1.0]
    assert factors("one_cycle", 10, peak_at=0.1)[0] == 1.0
    with pytest.raises(ZeroDivisionError):
        by_torch(lambda o: theirs.OneCycleLR(o, 1.0, 10, pct_start=0.1), 10)


@pytest.mark.parametrize("total", [100, 200, 99])
def test_a_step_schedule_drops_exactly_at_each_share(total: int) -> None:
    for hundredth, share in enumerate(SHARES, 1):
        milestone = -(-hundredth * total // 100)
        mine = factors("step", total, warmup=NO_WARMUP, at=[share])
        expected = by_torch(lambda o, m=milestone: theirs.MultiStepLR(o, [m], 0.1), total)  # type: ignore[misc]
        assert mine == pytest.approx(expected), share


def test_control_binary_shares_are_late() -> None:
    """What version 0.1 did: at 5 of 99 shares, one step late."""
    late = [s for i, s in enumerate(SHARES, 1) if math.ceil(s * 100) != i]
    assert late == [0.07, 0.14, 0.28, 0.55, 0.56]
    assert [s for i, s in enumerate(SHARES, 1) if math.ceil(as_written(s) * 100) != i] == []


@pytest.mark.parametrize("share", SHARES)
def test_a_step_schedule_drops_exactly_after_so_many_epochs(share: float) -> None:
    size = round(100 * share)
    mine = factors("step", 300, 100, warmup=NO_WARMUP, every=share, gamma=0.9)
    assert mine == pytest.approx(by_torch(lambda o: theirs.StepLR(o, size, 0.9), 300))


def test_several_drops_at_once_and_none() -> None:
    mine = factors("step", 10, warmup=NO_WARMUP, at=[0.5, 0.5, 0.9])
    assert mine == pytest.approx(by_torch(lambda o: theirs.MultiStepLR(o, [5, 5, 9], 0.1), 10))
    assert factors("step", 10, warmup=NO_WARMUP, at=[]) == [1.0] * 10, "an empty list is none"


def test_intervals_of_next_to_nothing_end_at_zero_at_once() -> None:
    schedule = SCHEDULES["step"](warmup=NO_WARMUP, every=1e-300).build(10**6, 100)
    assert [schedule.factor(0), schedule.factor(1), schedule.factor(10**6 - 1)] == [1.0, 0.0, 0.0]


def test_exponential_by_epoch_falls_epoch_by_epoch_however_long_the_training_is() -> None:
    """Version 0.1 took 0.1 ** 400 first, which is 0."""
    mine = factors("exponential", 4000, warmup=NO_WARMUP, gamma=0.1)
    expected = [float(f"1e-{epoch}") for epoch in range(300)]
    assert mine[:3000:10] == pytest.approx(expected, rel=1e-9)
    assert mine[1] == pytest.approx(0.1**0.1)
    assert 0.1**400 == 0.0 and (0.1**400) ** (1 / 4000) == 0.0, "the control"


def test_exponential_by_epoch_begins_after_the_warmup() -> None:
    mine = factors("exponential", 60, warmup=Warmup(steps=10), gamma=0.1)
    assert mine[10::10] == pytest.approx([1, 0.1, 0.01, 0.001, 1e-4])


def cycles(total: int, count: int, growth: Fraction) -> Iterator[Fraction]:
    """The share of its cycle that each step stands at, by the formula in exact fractions."""
    whole = sum(growth**i for i in range(count))
    lengths = [Fraction(total) * growth**i / whole for i in range(count)]
    for step in range(total):
        at = Fraction(step)
        for length in lengths:
            if at < length:
                break
            at -= length
        yield at / length


RESTARTS = [(91, 3, 1.2), (427, 4, 1.2), (341, 6, 1.2), (331, 3, 1.1), (95, 3, 1.5), (13, 5, 1.3)]


@pytest.mark.parametrize(("total", "count", "growth"), RESTARTS)
def test_restarts_begin_at_the_peak(total: int, count: int, growth: float) -> None:
    mine = factors("cosine_restarts", total, warmup=NO_WARMUP, cycles=count, growth=growth)
    shares = cycles(total, count, Fraction(str(growth)))
    assert mine == pytest.approx([0.5 * (1 + math.cos(math.pi * s)) for s in shares], abs=1e-9)


def test_control_binary_boundaries_miss_a_peak() -> None:
    """What version 0.1 computed: a cycle that begins a trifle after its first step."""
    late = []
    for total, count, growth in RESTARTS[:3]:
        lengths = [growth**i for i in range(count)]
        starts = [total / sum(lengths) * sum(lengths[:i]) for i in range(count)]
        late.append(max(start - round(start) for start in starts if start - round(start) < 1e-6))
    assert min(late) > 0


@pytest.mark.parametrize("growth", [1.0, 1.000001, 10.0])
def test_more_cycles_than_steps(growth: float) -> None:
    mine = factors("cosine_restarts", 10, warmup=NO_WARMUP, cycles=1000, growth=growth)
    assert mine[0] == 1.0 and all(0 <= factor <= 1 for factor in mine)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup", [5, 6, 500])
def test_a_warmup_as_long_as_the_training_only_rises(name: str, warmup: int) -> None:
    if name != "one_cycle":
        mine = factors(name, 5, warmup=Warmup(steps=warmup))
        assert mine == pytest.approx([(t + 1) / (warmup + 1) for t in range(5)])


def test_shares_are_read_as_they_were_written() -> None:
    assert as_written(0.07) == Fraction(7, 100) and as_written(1e-7) == Fraction(1, 10**7)
    assert nearest_step(0.07, 50) == 4 and nearest_step(0.29, 50) == 14, "of two the even one"
    exact = [nearest_step(i / 1000, n) == round(Fraction(i * n, 1000))
             for i in range(1, 1000) for n in (50, 500, 1500)]  # fmt: skip
    assert all(exact)
    assert any(round(i / 1000 * n) != round(Fraction(i * n, 1000))
               for i in range(1, 1000) for n in (50, 500, 1500)), "the control"  # fmt: skip


def test_everything_counted_in_shares_is_exact() -> None:
    i, n = next(
        (i, n) for i in range(1, 1000) for n in (50, 500, 1500)
        if round(i / 1000 * n) != round(Fraction(i * n, 1000))
    )  # fmt: skip
    steps = round(Fraction(i * n, 1000))
    assert Warmup(fraction=i / 1000).length(n) == steps
    assert Every(epochs=i / 1000).in_steps(n) == steps


def test_shares_that_are_all_steps_together_are_accepted() -> None:
    for thousandth in range(1, 1000):
        warmup = Warmup(fraction=thousandth / 1000)
        SCHEDULES["wsd"](warmup=warmup, decay=(1000 - thousandth) / 1000)
    with pytest.raises(SettingError, match="more than all steps"):
        SCHEDULES["wsd"](warmup=Warmup(fraction=0.5), decay=0.501)


def test_plateau_takes_no_infinity_for_a_best_value() -> None:
    """No share of it could be taken: nothing would ever be an improvement."""
    schedule = SCHEDULES["plateau"](warmup=NO_WARMUP, patience=1).build(100, 10)
    reference = theirs.ReduceLROnPlateau(
        torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), patience=1
    )
    for value in (math.inf, 3.0, 2.0, 1.0, 0.5):
        schedule.observe(value)
        reference.step(value)
        assert schedule.factor(50) == reference.optimizer.param_groups[0]["lr"] == 1.0
