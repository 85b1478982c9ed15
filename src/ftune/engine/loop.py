"""The training loop: the order of things in time, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from ftune.engine.state import Best, State
from ftune.engine.step import StepResult

Scores = Mapping[str, float]
Reason = Literal["done", "early", "interrupted", "paused"]


class TakesStep(Protocol):
    def __call__(self, state: State, rate: float) -> StepResult: ...


@dataclass
class Job:
    """What a training is made of, as callables.

    total: optimizer steps. step: takes its batches and makes one update. rate: the base learning
    rate. look: scores when an evaluation is due, else None. save: called after every look. log:
    called after every step. stop: a reason to end before `total`, else None. inspect: called once
    after the first step of each phase, with gradients still there. better: an evaluation, if it
    beats the best one. resets: the same against the one that last reset the patience.
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
    better: Callable[[Scores, Best | None], Best | None]
    resets: Callable[[Scores, Best | None], Best | None]


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
        scores = job.look(state, last) if state.looked != state.step else None
        if scores is not None:
            _judge(state, scores, job)
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


def _judge(state: State, scores: Scores, job: Job) -> None:
    """Answers two questions: is this the step to use later, and does the patience start anew?"""
    state.looked = state.step
    best, reference = job.better(scores, state.best), job.resets(scores, state.reference)
    state.best = replace(best, step=state.step) if best else state.best
    state.reference = replace(reference, step=state.step) if reference else state.reference
    state.waiting = 0 if reference else state.waiting + 1
