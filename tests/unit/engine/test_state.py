"""What survives an interruption: every field comes back from tensors and JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ftune.engine.average import EMA
from ftune.engine.callback import NullCallback
from ftune.engine.decision import Decision
from ftune.engine.scores import Evaluation
from ftune.engine.state import State
from ftune.engine.step import StepResult
from ftune.errors import CheckpointError
from ftune.optim import OPTIMIZERS, SCHEDULES
from ftune.optim.groups import Group


def fresh(scaler: bool = True, average: bool = True) -> State:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    names, parameters = zip(*model.named_parameters(), strict=True)
    return State(
        model,
        OPTIMIZERS["adamw"]().build([Group(names, parameters)], 0.1),
        SCHEDULES["plateau"]().build(50, 10),
        lambda _: None,
        torch.amp.GradScaler("cpu", init_scale=2.0**10) if scaler else None,
        EMA(model, 0.9) if average else None,
    )


def trained(**kinds: bool) -> State:
    """A state in which no field has the value that it began with."""
    state = fresh(**kinds)
    for parameter in state.parameters:
        parameter.grad = torch.ones_like(parameter)
    for optimizer in state.optimizers:
        optimizer.step()
    if state.average:
        state.average.update(state.model)
    if state.scaler:
        state.scaler.scale(torch.ones(()))
        state.scaler.update(2.0**7)
    state.schedule.observe(0.25)
    state.step, state.evals_since_gain, state.last_eval_step = 7, 2, 6
    state.microbatch_splits, state.skipped_faults = 4, 3
    state.recent_losses, state.best = [0.5, 0.25], Evaluation(5, 0.75, 0.5)
    return state


def saved(state: State) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, loop = state.tensors()
    return {name: t.clone() for name, t in tensors.items()}, json.loads(json.dumps(loop))


def assert_same(a: State, b: State) -> None:
    (tensors, loop), (others, other) = saved(a), saved(b)
    assert loop == other
    assert tensors.keys() == others.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor, others[name]), name


@pytest.mark.parametrize("average", [True, False])
@pytest.mark.parametrize("scaler", [True, False])
def test_everything_comes_back(scaler: bool, average: bool) -> None:
    state = trained(scaler=scaler, average=average)
    tensors, loop = saved(state)
    torch.rand(3)
    other = fresh(scaler=scaler, average=average)
    other.load(tensors, loop)
    other.model.load_state_dict(state.model.state_dict())
    assert (other.step, other.evals_since_gain, other.last_eval_step) == (7, 2, 6)
    assert (other.microbatch_splits, other.skipped_faults) == (4, 3)
    assert other.recent_losses == [0.5, 0.25] and other.best == Evaluation(5, 0.75, 0.5)
    assert other.schedule.state() == state.schedule.state() != fresh().schedule.state()
    assert any(name.startswith("ema/") for name in tensors) is average
    if average:
        assert other.average is not None and other.average.updates == 1
    if scaler:
        assert other.scaler is not None and other.scaler.get_scale() == 2.0**7
    drawn = torch.rand(3)
    other.load(tensors, loop)
    assert torch.equal(torch.rand(3), drawn), "random numbers go on where they were"
    other.load(tensors, loop)
    state.load(tensors, loop)
    assert_same(state, other)


def test_what_was_taken_does_not_move_with_the_state() -> None:
    state = trained()
    _, loop = state.tensors()
    state.recent_losses.append(9.0)
    assert loop["recent"] == [0.5, 0.25]
    other = fresh()
    tensors, plain = saved(trained())
    other.load(tensors, plain)
    other.recent_losses.append(9.0)
    assert plain["recent"] == [0.5, 0.25]


def test_before_the_first_step() -> None:
    state = fresh()
    tensors, loop = saved(state)
    assert (loop["step"], loop["waiting"], loop["looked"]) == (0, 0, -1)
    assert (loop["split"], loop["faults"], loop["recent"], loop["best"]) == (1, 0, [], None)
    other = trained()
    other.load(tensors, loop)
    assert other.best is None and other.recent_losses == [] and other.step == 0


def test_a_loop_from_before_there_were_splits_and_faults() -> None:
    tensors, loop = saved(trained())
    for name in ("split", "faults", "recent"):
        del loop[name]
    state = fresh()
    state.load(tensors, loop)
    assert (state.microbatch_splits, state.skipped_faults, state.recent_losses) == (1, 0, [])


@pytest.mark.parametrize("value", [None, "7", 7.0, True])
@pytest.mark.parametrize("name", ["step", "waiting", "looked", "split", "faults"])
def test_a_count_that_is_none_is_named(name: str, value: Any) -> None:
    tensors, loop = saved(trained())
    with pytest.raises(CheckpointError, match=f"its `{name}` is {value!r}"):
        fresh().load(tensors, loop | {name: value})


@pytest.mark.parametrize("name", ["step", "waiting", "looked"])
def test_a_count_that_is_missing_is_named(name: str) -> None:
    tensors, loop = saved(trained())
    del loop[name]
    with pytest.raises(CheckpointError, match=f"its `{name}` is None"):
        fresh().load(tensors, loop)


def test_precision_may_change_where_a_resume_is_inexact() -> None:
    """A scale without a scaler, and a scaler without a scale, are both left alone."""
    with_scale, without = saved(trained()), saved(trained(scaler=False))
    fresh(scaler=False).load(*with_scale)
    state = fresh()
    state.load(*without)
    assert state.scaler is not None and state.scaler.get_scale() == 2.0**10


def test_the_averaged_weights_are_judged_where_there_are_any() -> None:
    state = trained()
    assert state.average is not None
    live = state.model.get_parameter("0.weight").detach().clone()
    averaged = state.average.weights["0.weight"].clone()
    assert not torch.equal(live, averaged)
    with state.evaluated():
        assert torch.equal(state.model.get_parameter("0.weight"), averaged)
    plain = trained(average=False)
    with plain.evaluated():
        assert torch.equal(plain.model.get_parameter("0.weight"), live)


def test_nobody_watches_a_short_trial() -> None:
    watcher, state = NullCallback(), fresh()
    assert watcher.scores == {} and watcher.stop(state) is None
    watcher.on_evaluate(state, {"loss": 0.5})
    assert watcher.scores == {"loss": 0.5}
    assert not watcher.save_due(state, None)
    watcher.save(state, None, Decision(True, "done"))
    watcher.on_step(state, StepResult(1.0))
    watcher.on_no_grad(["w"], "unused")
    watcher.warn("a note")
    assert NullCallback(lambda: True).stop(state) == "interrupted"
    assert watcher.rollback(state) == ""
