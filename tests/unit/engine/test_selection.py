"""Which of two evaluations is the better one, in both directions."""

from __future__ import annotations

import math
from typing import Any

import pytest
from torch import nn

from ftune.engine.scores import Evaluation
from ftune.engine.selection import Selection
from ftune.engine.state import State
from ftune.optim.schedule import Curve

MAX, MIN = Selection("m", "max", keep_best=2), Selection("m", "min", keep_best=2)
Pair = tuple[float, float]
ROWS: list[tuple[Pair | None, Pair, str, float, bool]] = [
    (None, (0.0, 1.0), "max", 0.0, True),
    (None, (0.0, 1.0), "max", 0.1, True),
    ((0.5, 1.0), (0.6, 2.0), "max", 0.0, True),
    ((0.5, 1.0), (0.4, 0.5), "max", 0.0, False),
    ((0.5, 1.0), (0.4, 2.0), "min", 0.0, True),
    ((0.5, 1.0), (0.6, 0.5), "min", 0.0, False),
    ((0.5, 1.0), (0.5, 0.9), "max", 0.0, True),  # equal: the loss decides
    ((0.5, 1.0), (0.5, 1.0), "max", 0.0, False),  # equal in all: the earlier one stays
    ((0.5, 1.0), (0.5, 0.9), "min", 0.0, True),
    ((0.5, 1.0), (0.55, 0.5), "max", 0.1, False),  # less than min_delta
    ((0.5, 1.0), (0.75, 0.5), "max", 0.25, False),  # no more than min_delta
    ((0.5, 1.0), (0.65, 5.0), "max", 0.1, True),
    ((0.5, 1.0), (0.35, 5.0), "min", 0.1, True),
    ((0.5, 1.0), (0.5, 0.5), "max", 0.1, False),
]


def judged(selection: Selection, *scores: Pair) -> State:
    """A state after evaluations of these metrics and losses, one a step."""
    state = State(nn.Linear(1, 1), [], Curve(0, float), lambda _: None)
    for step, (value, loss) in enumerate(scores):
        state.step = step
        selection.judge(state, {"m": value, "loss": loss})
    return state


@pytest.mark.parametrize(("old", "new", "mode", "min_delta", "gained"), ROWS)
def test_what_starts_the_patience_anew(
    old: Pair | None, new: Pair, mode: Any, min_delta: float, gained: bool
) -> None:
    scores = (new,) if old is None else (old, new)
    state = judged(Selection("m", mode, min_delta=min_delta), *scores)
    assert (state.evals_since_gain == 0) is gained


@pytest.mark.parametrize(
    ("old", "new", "mode", "better"), [(o, n, m, b) for o, n, m, least, b in ROWS if not least]
)
def test_what_is_best_whatever_the_least_gain(
    old: Pair | None, new: Pair, mode: Any, better: bool
) -> None:
    scores = (new,) if old is None else (old, new)
    state = judged(Selection("m", mode, min_delta=9.0), *scores)
    assert state.best is not None
    assert (state.best.step == len(scores) - 1) is better


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_beats_nothing(bad: float) -> None:
    state = judged(MIN, (0.5, 1.0), (bad, 0.1), (0.1, bad))
    assert state.best == Evaluation(0, 0.5, 1.0)
    assert state.evals_since_gain == 2


def test_patience_ends_after_so_many_evaluations_without_a_gain() -> None:
    patient = Selection("m", "max", patience=2)
    assert not patient.exhausted(judged(patient, (0.5, 1.0), (0.4, 1.0)))
    assert patient.exhausted(judged(patient, (0.5, 1.0), (0.4, 1.0), (0.3, 1.0)))
    assert not MAX.exhausted(judged(MAX, *[(0.5, 1.0)] * 50)), "no patience, no end"


def test_the_best_evaluations_in_order() -> None:
    evaluations = [Evaluation(0, 0.5, 1.0), Evaluation(1, 0.7, 2.0), Evaluation(2, 0.7, 1.0)]
    assert [e.step for e in MAX.best(evaluations)] == [2, 1]
    assert [e.step for e in MIN.best(evaluations)] == [0, 2]


def test_costs_are_smaller_where_values_are_better() -> None:
    assert MAX.cost(0.7) < MAX.cost(0.5)
    assert MIN.cost(0.5) < MIN.cost(0.7)
