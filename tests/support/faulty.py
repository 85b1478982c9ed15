"""Trainings in which a number goes bad at a chosen step, by its loss, a gradient or an input."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ftune.assembly.build import build, read_data
from ftune.data.store import Dense
from ftune.engine.state import State
from ftune.engine.step import Step, StepResult
from ftune.errors import DivergedError
from ftune.objectives import Loss
from ftune.training.run import Run, new_run
from ftune.training.train import train
from support.trainings import QUIET, configuration, tensor_hash

SHORT = ("train.epochs=2", "~train.accumulate", "train.batch_size=8")


class _Poisoned(torch.autograd.Function):
    """The value as it is, and a gradient that is not finite."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bad: float) -> Tensor:
        ctx.bad = bad
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients[0] * ctx.bad, None


def begin(out: Path, *changes: str) -> Run:
    config = configuration(*SHORT, *changes)
    return new_run("optimize", "", out, config, build(config, read_data(config)), QUIET)


def spoil_row(run: Run, position: int, bad: float) -> int:
    """Puts a bad number into a training row; returns the row's number in its file."""
    split = run.parts.dataset.train
    assert isinstance(split.inputs, Dense)
    split.inputs.x[position, 1] = bad
    return int(split.rows[position])


def row_of_step(run: Run, step: int, index: int) -> int:
    """The position, in the training split, of a row that a step sees."""
    return int(torch.cat(run.parts.batches.indices(step))[index])


@contextmanager
def bad_at(step: int, where: str, bad: float, times: int = 1) -> Iterator[None]:
    """The loss or the gradients of some steps are `bad`, whatever the rows."""
    original, call, left, now = Step.loss, Step.__call__, [times], [0]

    def called(self: Step, state: State, *given: Any) -> StepResult:
        now[0] = state.step
        return call(self, state, *given)

    def poisoned(self: Step, forward: Any, batch: Any) -> Loss:
        loss = original(self, forward, batch)
        if now[0] < step or left[0] <= 0:
            return loss
        left[0] -= 1
        total = loss.sum * bad if where == "loss" else _Poisoned.apply(loss.sum, bad)  # type: ignore[no-untyped-call]
        return replace(loss, sum=total)

    Step.loss, Step.__call__ = poisoned, called  # type: ignore
    try:
        yield
    finally:
        Step.loss, Step.__call__ = original, call  # type: ignore


def state_hash(state: State) -> dict[str, str]:
    """Every tensor of a state: weights, statistics, optimizer, average."""
    found = {**state.model.state_dict(), **state.tensors()[0]}
    return {k: tensor_hash(t) for k, t in found.items() if not k.startswith("rng/")}


def stops(run: Run) -> str:
    """What the training says when it stops by a fault; empty where it does not."""
    try:
        train(run)
    except DivergedError as error:
        return str(error)
    return ""


def is_bad(value: float) -> bool:
    return not math.isfinite(value)
