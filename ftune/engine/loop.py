"""The training loop: the order of things in time, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from ftune.engine.selection import Scores, Selection
from ftune.engine.state import State
from ftune.engine.step import StepResult

Reason = Literal["done", "early", "interrupted", "paused"]


class TakesStep(Protocol):
    def __call__(self, state: State, rate: float) -> StepResult: ...


@dataclass
class Job:
    """What a training is made of, as callables.

    total: optimizer steps. step: takes its batches and makes one update. rate: the base learning
    rate. look: scores when an evaluation is due, else None. save: called after every look. log:
    called after every step. stop: a reason to end before `total`, else None. inspect: called once
    after the first step of each phase, with gradients still there. selection: judges the scores.
    """

    total: int
    steps_per_epoch: int
    step: TakesStep
    rate: float
    look: Callable[[State, bool], Scores | None]
    save: Callable[[State, Scores | None, bool], None]
    stop: Callable[[State], Reason | None]
    log: Callable[[State, StepResult, float], None]
    inspect: Callable[[State], None]
    selection: Selection


@dataclass(frozen=True)
class Outcome:
    """Why the loop ended, and the seconds spent inside training steps."""

    reason: Reason
    train_seconds: float


def fit(state: State, job: Job) -> Outcome:
    """Trains until `job.total` steps or a reason to stop.

    Look, save, then learn, N+1 times: scores, weights and step always agree, and there is no
    "final" copy of anything after the loop.
    """
    seconds = 0.0
    start = state.step
    state.enter(state.step // job.steps_per_epoch)
    while True:
        last = state.step >= job.total
        scores = job.look(state, last) if state.last_eval_step != state.step else None
        if scores is not None:
            job.selection.judge(state, scores)
        reason: Reason | None = "done" if last else job.stop(state)
        job.save(state, scores, reason is not None)
        if reason is not None:
            return Outcome(reason, seconds)
        began = time.perf_counter()
        epoch, offset = divmod(state.step, job.steps_per_epoch)
        if offset == 0:
            state.enter(epoch)
        rate = job.rate * state.schedule.factor(state.updates)
        result = job.step(state, rate)
        state.step += 1
        state.skipped += not result.applied
        seconds += time.perf_counter() - began
        if (state.step == start + 1 or offset == 0) and not result.fault:
            job.inspect(state)
        job.log(state, result, rate)
