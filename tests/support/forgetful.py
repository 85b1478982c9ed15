"""Resumes that forget one thing: each must be seen in what comes of it (control of R1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from ftune.engine.state import State
from ftune.training.resumed import Resumed
from ftune.training.run import Run
from support import trainings
from support.trainings import configuration, differences, interrupted, trace, undisturbed

RESTLESS = (
    "optimizer.lr=0.6",  # the loss rises again, so that there is something to wait for
    "train.early_stop=50",
)
HALF = ("train.precision=fp16",)
GUARDED = ("train.spike_guard={threshold: 1000, window: 10}",)
AT = [16, 22]


def _model(state: State) -> None:
    for parameter in state.model.parameters():
        parameter.data.zero_()


def _buffers(state: State) -> None:
    for buffer in state.model.buffers():
        buffer.zero_()


def _optimizer(state: State) -> None:
    for optimizer in state.optimizers:
        optimizer.state.clear()


def _rng(state: State) -> None:
    del state
    torch.manual_seed(12345)


def _average(state: State) -> None:
    assert state.average
    live = dict(state.model.named_parameters())
    state.average.weights = {n: live[n].detach().clone() for n in state.average.weights}


def _average_count(state: State) -> None:
    assert state.average
    state.average.updates = 0


def _schedule(state: State) -> None:
    state.schedule.load({"best": None, "waited": 0, "scale": 1.0})


def _scaler(state: State) -> None:
    assert state.scaler
    state.scaler.load_state_dict({**state.scaler.state_dict(), "scale": 2.0})


def _sets(name: str, value: Any) -> Callable[[State], None]:
    return lambda state: setattr(state, name, value)


def _step(state: State) -> None:
    state.step -= 1


@dataclass(frozen=True)
class Forgetful:
    """changes: what the training has so that there is something to forget."""

    forget: Callable[[State], None]
    changes: tuple[str, ...] = RESTLESS


FORGETFUL = {
    "model": Forgetful(_model),
    "buffers": Forgetful(_buffers),
    "optimizer": Forgetful(_optimizer),
    "random state": Forgetful(_rng),
    "average": Forgetful(_average),
    "updates of the average": Forgetful(_average_count),
    "schedule": Forgetful(_schedule),
    "loss scale": Forgetful(_scaler, HALF),
    "step": Forgetful(_step),
    "step last looked at": Forgetful(_sets("last_eval_step", -1)),
    "waiting": Forgetful(_sets("evals_since_gain", 0)),
    "best": Forgetful(_sets("best", None)),
    "recent losses": Forgetful(_sets("recent_losses", []), GUARDED),
    "patience's reference": Forgetful(_sets("reference", None)),
    "skipped steps": Forgetful(_sets("skipped", 1)),
    "faults": Forgetful(_sets("skipped_faults", 1)),
    "parts of a micro-batch": Forgetful(_sets("microbatch_splits", 2)),
    "losses not logged yet": Forgetful(lambda _: None),  # see `resumed_without`
}


def resumed_without(name: str, folder: Path, patch: pytest.MonkeyPatch) -> list[str]:
    """What differs from the undisturbed training where a resume forgets that one thing.

    Faults and parts are 0 and 1 here: with those, it is a resume that makes them up.
    """
    case, real = FORGETFUL[name], vars(trainings)["reopen"]
    config = configuration(*case.changes)
    undisturbed(config, folder / "whole")

    def forgetful(*given: Any) -> Run:
        run: Run = real(*given)
        case.forget(run.state)
        if name == "losses not logged yet":
            run.resumed = Resumed(run.state.step)
        return run

    patch.setattr(trainings, "reopen", forgetful)
    interrupted(config, folder / "run", AT)
    patch.undo()
    return differences(trace(folder / "whole"), trace(folder / "run"))
