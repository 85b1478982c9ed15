"""The training loop: the order of things in time, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ftune.distributed.group import Group, Solo
from ftune.engine.decision import Decision, Reason
from ftune.engine.scores import Scores
from ftune.engine.selection import Selection
from ftune.engine.state import State
from ftune.engine.step import StepResult


@dataclass
class Job:
    """What a training is made of, as callables.

    total: optimizer steps. step: takes its batches and makes one update. evaluate: returns scores
    when an evaluation is due, else None. decide: whether this process would save, or end before
    `total`. save: called after every decision. log: called after every step. inspect: called once
    after the first step of each phase, with gradients still there. selection: judges the scores.
    group: the processes that take each step and each decision together.
    """

    total: int
    steps_per_epoch: int
    step: Callable[[State], StepResult]
    evaluate: Callable[[State, bool], Scores | None]
    decide: Callable[[State, Scores | None], Decision]
    save: Callable[[State, Scores | None, Decision], None]
    log: Callable[[State, StepResult], None]
    inspect: Callable[[State], None]
    selection: Selection
    group: Group = field(default_factory=Solo)


@dataclass(frozen=True)
class Outcome:
    """Why the loop ended, and the seconds spent inside training steps."""

    reason: Reason
    train_seconds: float


def fit(state: State, job: Job) -> Outcome:
    """Train until `job.total` steps or a reason to stop; return why it ended.

    Evaluate, save, then learn, N+1 times: scores, weights and step always agree, and there is no
    "final" copy of anything after the loop.
    """
    seconds = 0.0
    start = state.step
    state.set_trainable(state.step // job.steps_per_epoch)
    while True:
        last = state.step >= job.total
        scores = job.evaluate(state, last) if state.last_eval_step != state.step else None
        if scores is not None:
            job.selection.judge(state, scores)
        decision = job.decide(state, scores)
        decision = (decision.ending() if last else decision).agreed(job.group)
        job.save(state, scores, decision)
        if decision.stop is not None:
            return Outcome(decision.stop, seconds)
        began = time.perf_counter()
        epoch, offset = divmod(state.step, job.steps_per_epoch)
        if offset == 0:
            state.set_trainable(epoch)
        state.set_lr()
        result = job.step(state)
        state.step += 1
        state.skipped += not result.applied
        seconds += time.perf_counter() - began
        if (state.step == start + 1 or offset == 0) and not result.fault:
            job.inspect(state)
        job.log(state, result)
