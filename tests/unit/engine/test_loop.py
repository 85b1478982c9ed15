"""The order of the loop in time, with callables that only remember."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from ftune.engine import loop
from ftune.engine.decision import Decision, Reason
from ftune.engine.loop import Job, Outcome, fit
from ftune.engine.scores import Evaluation, Scores
from ftune.engine.selection import Selection
from ftune.engine.state import State
from ftune.engine.step import StepResult
from ftune.optim.schedule import Curve

PER_EPOCH = 3


@dataclass
class Watched:
    """A job whose weights are a counter; every call is written down with the state it saw."""

    total: int = 7
    every: int = 2
    scores: Callable[[int], float] = float
    stopping: Callable[[State], Reason | None] = lambda _: None
    min_delta: float = 0.0
    weights: int = 0
    seen: list[tuple[Any, ...]] = field(default_factory=list)

    def state(self, **given: Any) -> State:
        return State(
            nn.Linear(1, 1), [], Curve(0, lambda t: 1 / (t + 1)), self._enter, base_lr=0.5, **given
        )

    def _enter(self, epoch: int) -> None:
        self.seen.append(("enter", epoch))

    def evaluate(self, state: State, last: bool) -> Scores | None:
        if not last and state.step % self.every:
            return None
        self.seen.append(("evaluate", state.step, self.weights, last))
        return {"score": self.scores(state.step), "loss": 1.0}

    def decide(self, state: State, scores: Scores | None) -> Decision:
        return Decision(scores is not None, self.stopping(state))

    def save(self, state: State, scores: Scores | None, decision: Decision) -> None:
        ending = decision.stop is not None
        self.seen.append(("save", state.step, self.weights, scores and scores["score"], ending))

    def step(self, state: State) -> StepResult:
        self.seen.append(("step", state.step, state.lr))
        self.weights += 1
        return StepResult(0.0)

    def log(self, state: State, result: StepResult) -> None:
        assert result.loss == 0
        self.seen.append(("log", state.step, state.lr))

    def inspect(self, state: State) -> None:
        self.seen.append(("inspect", state.step))

    def run(self, state: State) -> Outcome:
        job = Job(
            self.total, PER_EPOCH, self.step,
            self.evaluate, self.decide, self.save, self.log, self.inspect,
            Selection("score", "max", min_delta=self.min_delta),
        )  # fmt: skip
        return fit(state, job)

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        return [entry[1:] for entry in self.seen if entry[0] == kind]


def test_evaluate_save_then_learn() -> None:
    watched, state = Watched(total=4, every=1), None
    state = watched.state()
    assert watched.run(state).reason == "done"
    order = [entry[0] for entry in watched.seen if entry[0] in ("evaluate", "save", "step")]
    assert order == ["evaluate", "save", "step"] * 4 + ["evaluate", "save"]
    assert state.step == watched.weights == 4


def test_scores_weights_and_step_agree() -> None:
    watched = Watched()
    watched.run(watched.state())
    assert all(step == weights for step, weights, _ in watched.of("evaluate"))
    assert all(step == weights for step, weights, *_ in watched.of("save"))
    assert [step for step, *_ in watched.of("save")] == list(range(8))
    assert all(score in (None, step) for step, _, score, _ in watched.of("save"))
    assert [step for step, *_ in watched.of("evaluate")] == [0, 2, 4, 6, 7]
    assert [last for *_, last in watched.of("evaluate")] == [False] * 4 + [True]
    assert [ending for *_, ending in watched.of("save")] == [False] * 7 + [True]


def test_rates_follow_the_step() -> None:
    watched = Watched(total=3)
    watched.run(watched.state())
    assert watched.of("step") == [(0, 0.5), (1, 0.25), (2, 0.5 / 3)]
    assert watched.of("log") == [(1, 0.5), (2, 0.25), (3, 0.5 / 3)]


def test_seconds_are_those_inside_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking, saving and logging take time too, and do not count."""
    clock = [100.0]
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    watched = Watched(total=4, every=1)
    step, save = watched.step, watched.save

    def slow_step(state: State) -> StepResult:
        clock[0] += 2.0
        return step(state)

    def slow_save(state: State, scores: Scores | None, decision: Decision) -> None:
        clock[0] += 50.0
        save(state, scores, decision)

    monkeypatch.setattr(watched, "step", slow_step)
    monkeypatch.setattr(watched, "save", slow_save)
    assert watched.run(watched.state()) == Outcome("done", 8.0)
    assert Watched(total=0).run(Watched(total=0).state()) == Outcome("done", 0.0)


def test_each_evaluation_is_noted_so_that_a_resume_makes_none_twice() -> None:
    watched = Watched(total=7, every=2)
    watched.stopping = lambda state: "interrupted" if state.step == 5 else None
    state = watched.state()
    assert state.last_eval_step == -1 and state.evals_since_gain == 0
    watched.run(state)
    assert state.last_eval_step == 4


def test_epochs_are_entered_and_inspected() -> None:
    watched = Watched()
    watched.run(watched.state())
    assert sorted(set(watched.of("enter"))) == [(0,), (1,), (2,)]
    assert watched.of("inspect") == [(1,), (4,), (7,)]


def test_resumed_in_the_middle_of_an_epoch() -> None:
    watched = Watched()
    state = watched.state(step=4)
    state.last_eval_step = 4
    watched.weights = 4
    watched.run(state)
    assert watched.of("enter")[0] == (1,)
    assert [s for s, *_ in watched.of("evaluate")] == [6, 7], "step 4 is not judged twice"
    assert watched.of("inspect")[0] == (5,)


def test_nothing_left_to_do() -> None:
    watched = Watched(total=4)
    state = watched.state(step=4)
    assert watched.run(state).reason == "done"
    assert not watched.of("step") and watched.of("evaluate") == [(4, 0, True)]


def test_early_stop_saves_and_ends() -> None:
    """Patience of 2: scores rise to step 4 and then fall."""
    watched = Watched(total=100, every=1, scores=lambda step: -abs(step - 4.0))
    watched.stopping = lambda state: "early" if state.evals_since_gain >= 2 else None
    state = watched.state()
    assert watched.run(state).reason == "early"
    assert state.step == 6 and state.evals_since_gain == 2
    assert state.best == Evaluation(4, 0.0, 1.0)
    assert watched.of("save")[-1] == (6, 6, -2.0, True)


def test_interrupted_at_a_step_boundary() -> None:
    watched = Watched(total=100)
    watched.stopping = lambda state: "interrupted" if state.step == 5 else None
    assert watched.run(watched.state()).reason == "interrupted"
    assert watched.of("save")[-1] == (5, 5, None, True)


def test_the_last_step_is_done_even_where_a_stop_is_asked() -> None:
    watched = Watched(total=4)
    watched.stopping = lambda state: "interrupted" if state.step == 4 else None
    assert watched.run(watched.state()).reason == "done"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_never_best(bad: float) -> None:
    watched = Watched(total=4, every=1, scores=lambda step: bad if step != 1 else -5.0)
    state = watched.state()
    watched.run(state)
    assert state.best == Evaluation(1, -5.0, 1.0)
    assert state.evals_since_gain == 3


def patient(values: list[float], min_delta: float, patience: int) -> tuple[int, State]:
    """Where an early stop ends, and the state then; larger is better, the loss says nothing."""
    watched = Watched(total=len(values) - 1, every=1, scores=lambda s: values[s])
    watched.min_delta = min_delta
    watched.stopping = lambda state: "early" if state.evals_since_gain >= patience else None
    state = watched.state()
    watched.run(state)
    return state.step, state


def by_keras(values: list[float], min_delta: float, patience: int) -> tuple[int, int]:
    """Where Keras' EarlyStopping ends (`on_epoch_end`), and the step whose value is the largest."""
    reference, wait, end = values[0], 0, len(values) - 1
    for step, value in enumerate(values[1:], 1):
        wait += 1
        if value - min_delta > reference:
            reference, wait = value, 0
        if wait >= patience:
            end = step
            break
    return end, values.index(max(values[: end + 1]))


def test_min_delta_resets_the_patience_and_decides_no_best() -> None:
    values = [0.5, 0.52, 0.54, 0.53, 0.56, 0.56, 0.55, 0.55, 0.55, 0.9]
    step, state = patient(values, 0.05, 4)
    assert (step, state.best, state.evals_since_gain) == (8, Evaluation(4, 0.56, 1.0), 4)
    assert state.reference == Evaluation(4, 0.56, 1.0), "0.02 after 0.02 adds up"
    step, state = patient(values, 0.5, 3)
    assert (step, state.best) == (3, Evaluation(2, 0.54, 1.0))
    assert state.reference == Evaluation(0, 0.5, 1.0)


@pytest.mark.parametrize("seed", range(30))
def test_patience_is_that_of_keras(seed: int) -> None:
    dice = random.Random(seed)
    values = [round(0.5 + 0.01 * i + dice.gauss(0, 0.05), 3) for i in range(30)]
    for min_delta, patience in ((0.0, 2), (0.03, 2), (0.03, 5), (1.0, 4)):
        step, state = patient(values, min_delta, patience)
        assert state.best is not None
        assert (step, state.best.step) == by_keras(values, min_delta, patience)


def test_control_one_rule_for_both_questions_delivers_less() -> None:
    """What version 0.1 did: the best step was the one that last reset the patience."""
    _, state = patient([0.5, 0.52, 0.54, 0.53], 0.05, 9)
    assert state.reference and state.best and state.reference.value < state.best.value


def test_the_clock_of_the_schedule_counts_updates() -> None:
    """Steps 1 and 3 update nothing, one overflowing and one at fault: the rate waits for them."""
    watched = Watched(total=6, every=9)
    lost = {1: StepResult(0.0, skipped=True), 3: StepResult(0.0, fault="bad")}
    taken = watched.step

    def step(state: State) -> StepResult:
        result = taken(state)
        return lost.get(state.step, result)

    watched.step = step  # type: ignore[method-assign]
    state = watched.state()
    watched.run(state)
    assert (state.step, state.skipped, state.updates) == (6, 2, 4)
    assert watched.of("step") == [
        (0, 0.5), (1, 0.25), (2, 0.25), (3, 0.5 / 3), (4, 0.5 / 3), (5, 0.125),
    ]  # fmt: skip
