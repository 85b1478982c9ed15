"""The pure parts of the search for a learning rate, over losses of known shape."""

from __future__ import annotations

import itertools
import math

import pytest

from ftune.errors import RequestError
from ftune.search.lr_find import TrainAt, conclude, refined, spaced
from ftune.search.ties import Point, best_of


def loss_at(rate: float, lowest: float) -> float:
    return 0.3 * math.exp(0.2 * math.log(rate / lowest) ** 2)


def train_around(lowest: float, tried: list[float]) -> TrainAt:
    def train_at(rate: float, steps: int) -> Point:
        tried.append(rate)
        return Point(rate, loss_at(rate, lowest), steps)

    return train_at


@pytest.mark.parametrize("per_decade", [1, 2, 5])
def test_spaced(per_decade: int) -> None:
    rates = spaced(1e-4, 1.0, per_decade)
    assert len(rates) == 4 * per_decade + 1
    assert rates[0] == 1e-4 and rates[-1] == pytest.approx(1.0)
    ratios = [b / a for a, b in itertools.pairwise(rates)]
    assert ratios == pytest.approx([10 ** (1 / per_decade)] * len(ratios))
    assert len(spaced(1.0, 1.1, 1)) == 2


@pytest.mark.parametrize("lowest", [3e-4, 1e-3, 2.3e-2, 0.4])
def test_the_bottom_of_a_bowl_is_found(lowest: float) -> None:
    tried: list[float] = []
    train_at = train_around(lowest, tried)
    survey = [train_at(rate, 10) for rate in spaced(1e-5, 1.0, 2)]
    curve = refined(survey, train_at, 50, 5, 2)
    assert [p.lr for p in curve] == sorted(p.lr for p in curve)
    assert {p.steps for p in curve} == {50}
    finding = conclude(survey, curve)
    assert finding.suggested == pytest.approx(lowest, rel=0.06), "two digits are kept"
    assert finding.low <= finding.suggested <= finding.high
    assert not finding.on_edge


def test_the_second_pass_goes_on_beyond_its_edge() -> None:
    """The long trainings want another rate than the short ones of the survey."""
    tried: list[float] = []
    survey = [Point(rate, loss_at(rate, 0.1), 10) for rate in spaced(1e-5, 1.0, 2)]
    curve = refined(survey, train_around(0.005, tried), 50, 5, 2)
    assert len(curve) > 5
    assert 0.0025 < conclude(survey, curve).suggested < 0.01


def test_the_second_pass_ends() -> None:
    def falling(rate: float, steps: int) -> Point:
        return Point(rate, 1 / rate, steps)

    survey = [falling(rate, 1) for rate in spaced(1e-5, 1.0, 2)]
    curve = refined(survey, falling, 1, 5, 2)
    assert len(curve) == 10
    assert conclude(survey, curve).on_edge


def test_a_rate_that_diverged_does_not_bend_the_curve() -> None:
    curve = [Point(r, loss_at(r, 0.01), 9) for r in (1e-3, 3e-3, 1e-2, 3e-2)]
    finding = conclude(curve, [*curve, Point(0.1, math.inf, 9)])
    assert 3e-3 <= finding.suggested <= 3e-2


def test_no_bowl_suggests_the_best() -> None:
    curve = [Point(r, loss, 9) for r, loss in ((0.1, 0.5), (0.2, 1.0), (0.4, 0.4))]
    assert conclude(curve, curve).suggested == 0.4


def test_perfect_loss() -> None:
    curve = [Point(0.1, 0.2, 9), Point(0.2, 0.0, 9), Point(0.4, 0.1, 9)]
    assert conclude(curve, curve).suggested == 0.2


def test_all_diverged() -> None:
    with pytest.raises(RequestError, match="every learning rate diverged"):
        best_of([Point(0.1, math.inf, 1), Point(1.0, math.inf, 1)])
