"""A step that goes wrong, with answers that only remember; batch statistics; the spike guard."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats  # type: ignore[import-untyped]
from torch import Tensor, nn

from ftune.engine.average import EMA
from ftune.engine.callback import Callback
from ftune.engine.faults import FaultPolicy, ResilientStep, SpikeGuard, Statistics
from ftune.engine.state import State
from ftune.engine.step import StepResult
from ftune.errors import DivergedError, OutOfMemoryError, SpikeError
from ftune.optim.schedule import Curve


class Watched(Callback):
    """Policy, feed and step of a resilient step, written down."""

    def __init__(self, faults: Sequence[Exception | None], **policy: Any) -> None:
        self.faults, self.seen = list(faults), list[tuple[Any, ...]]()
        self.model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))
        self.statistics = Statistics(self.model)
        rules: dict[str, Any] = {"non_finite": "skip", "spikes": "skip", "limit": 9} | policy
        self.policy = FaultPolicy(**rules, explain=self.explain, callback=self, shrink=self.shrink)
        optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.state = State(self.model, [optimizer], Curve(0, lambda _: 1.0), lambda _: None)
        self.state.step = 6

    def feed(self, step: int, split: int) -> list[dict[str, Tensor]]:
        self.seen.append(("feed", step, split))
        return [{"x": torch.ones(4, 2)}]

    def step(self, state: State, batches: Any) -> StepResult:
        state.model(batches[0]["x"]).sum().backward()
        self.seen.append(("step",))
        fault = self.faults.pop(0)
        if fault is not None:
            raise fault
        return StepResult(1.5)

    def explain(self, state: State, batches: Any) -> str:
        assert all(parameter.grad is None for parameter in state.parameters), "their memory is free"
        assert state is self.state and len(batches[0]["x"]) == 4
        return "row 3"

    def rollback(self, state: State) -> str:
        assert state is self.state
        return "back to step 4"

    def warn(self, text: str) -> None:
        self.seen.append(("warn", text))

    def shrink(self, state: State, batches: Any, error: OutOfMemoryError) -> None:
        assert state is self.state and len(batches[0]["x"]) == 4 and "full" in str(error)
        state.microbatch_splits *= 2
        self.seen.append(("shrink",))

    def run(self) -> StepResult:
        step: Any = self.step
        return ResilientStep(self.feed, step, self.policy, self.statistics)(self.state)

    @property
    def mean(self) -> list[float]:
        norm: Any = self.model[0]
        return [*norm.running_mean.tolist(), float(norm.num_batches_tracked)]


def test_what_goes_well_is_passed_on() -> None:
    watched = Watched([None])
    assert watched.run() == StepResult(1.5)
    assert watched.seen == [("feed", 6, 1), ("step",)]
    assert watched.mean == pytest.approx([0.1, 0.1, 1.0])


def test_memory_that_is_full_is_answered_by_smaller_batches_and_another_try() -> None:
    """The statistics count the batch that was trained on, once."""
    watched = Watched([OutOfMemoryError("full"), OutOfMemoryError("full"), None])
    assert watched.run() == StepResult(1.5)
    assert [entry for entry in watched.seen if entry[0] != "step"] == [
        ("feed", 6, 1), ("shrink",), ("feed", 6, 2), ("shrink",), ("feed", 6, 4),
    ]  # fmt: skip
    assert watched.mean == pytest.approx([0.1, 0.1, 1.0])


def test_a_skipped_step_is_said_with_its_cause_and_leaves_no_trace() -> None:
    watched = Watched([DivergedError("the loss is nan")])
    result = watched.run()
    assert math.isnan(result.loss) and result.fault == "step 7: the loss is nan (row 3)"
    assert watched.seen[-1] == ("warn", "step 7: the loss is nan (row 3); the step is left out")
    assert watched.mean == [0.0, 0.0, 0.0] and watched.state.skipped_faults == 1
    assert all(parameter.grad is None for parameter in watched.state.parameters)


def test_a_rollback_says_where_it_went() -> None:
    watched = Watched([DivergedError("the loss is nan")], non_finite="rollback")
    assert watched.run().fault == "step 7: the loss is nan (row 3)"
    assert watched.seen[-1] == ("warn", "step 7: the loss is nan (row 3); back to step 4")


def test_a_rollback_without_an_earlier_state_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watched, "rollback", lambda *_: "")
    watched = Watched([DivergedError("the loss is nan")], non_finite="rollback")
    with pytest.raises(DivergedError, match="step 7 cannot be taken back: nothing was saved"):
        watched.run()


def test_a_stop_gives_the_advice_for_what_it_was() -> None:
    with pytest.raises(DivergedError, match=r"\(row 3\); nothing was updated\. Where many rows"):
        Watched([DivergedError("the loss is nan")], non_finite="stop").run()
    watched = Watched([SpikeError("it jumped")], spikes="stop")
    with pytest.raises(DivergedError, match=r"it jumped; nothing was updated\. A smaller optim"):
        watched.run()
    assert Watched([SpikeError("it jumped")], non_finite="stop").run().fault == "step 7: it jumped"


@pytest.mark.parametrize("limit", [1, 3])
def test_so_many_faults_are_borne_and_one_is_too_many(limit: int) -> None:
    watched = Watched([DivergedError("nan")] * (limit + 1), limit=limit)
    for _ in range(limit):
        assert watched.run().fault
    with pytest.raises(DivergedError, match=f"after {limit} faults before it the run ends"):
        watched.run()


def test_statistics_are_those_of_norms_alone_each_once() -> None:
    class Holding(nn.BatchNorm1d):
        """A norm with a part of its own that is none."""

        def __init__(self) -> None:
            super().__init__(2)
            self.part = nn.Module()
            self.part.register_buffer("count", torch.zeros(()))

    model = nn.Sequential(
        Holding(), nn.InstanceNorm1d(2, track_running_stats=True), nn.Linear(2, 2)
    )
    model[2].register_buffer("seen", torch.zeros(()))
    statistics = Statistics(model)
    statistics.keep()
    with torch.no_grad():
        for buffer in model.buffers():
            buffer.add_(3)
    statistics.put_back()
    changed = {name for name, buffer in model.named_buffers() if float(buffer.sum()) >= 3}
    assert changed == {"0.part.count", "2.seen"}


def test_statistics_without_norms_are_nothing() -> None:
    statistics = Statistics(nn.Linear(2, 2))
    statistics.keep()
    statistics.put_back()
    assert statistics.live == []


def bound_of(recent: Sequence[float], threshold: float) -> float:
    """Hampel's identifier, the deviation by scipy."""
    spread = stats.median_abs_deviation(recent, scale="normal")
    middle = float(np.median(recent))
    return middle + threshold * max(float(spread), 1e-3 * abs(middle))


RECENT = {
    "noise": [2.0, 2.1, 1.9, 2.3, 1.8, 2.05, 1.7],
    "negative": [-2.0, -2.1, -1.9, -2.3, -1.8, -2.05, -1.7],
    "constant": [4.0] * 7,
    "negative and constant": [-4.0] * 7,
}


@pytest.mark.parametrize("threshold", [1.0, 8.0])
@pytest.mark.parametrize("name", RECENT)
def test_the_bound_is_hampels(name: str, threshold: float) -> None:
    state = State.__new__(State)
    recent, bound = RECENT[name], bound_of(RECENT[name], threshold)
    guard = SpikeGuard(threshold, len(recent))
    state.recent_losses = list(recent)
    with pytest.raises(SpikeError, match=f"the last 7 were around {statistics.median(recent):.4g}"):
        guard(state, bound + 1e-3 * abs(bound))
    assert state.recent_losses == recent, "a spike is no example of what is usual"
    guard(state, bound - 1e-3 * abs(bound))
    assert state.recent_losses == [*recent[1:], bound - 1e-3 * abs(bound)]


def test_a_loss_on_the_bound_is_no_spike() -> None:
    state = State.__new__(State)
    state.recent_losses = [0.0, 0.0, 0.0]
    SpikeGuard(8.0, 3)(state, 0.0)
    assert state.recent_losses == [0.0, 0.0, 0.0]


def test_the_guard_waits_for_a_whole_window() -> None:
    state = State.__new__(State)
    state.recent_losses = [1.0, 1.0]
    guard = SpikeGuard(8.0, 3)
    guard(state, 100.0)
    with pytest.raises(SpikeError, match="up to 100"):
        guard(state, 101.0)


def test_the_average_of_some_parameters_leaves_the_others_live() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1), nn.Linear(1, 1))
    names = {"0.weight", "2.bias"}
    average = EMA(model, 0.5, names)
    assert set(average.weights) == names
    assert all(not tensor.requires_grad for tensor in average.weights.values())
    before = {name: tensor.clone() for name, tensor in average.weights.items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    average.update(model)
    decays = [1 / 10, 2 / 11]
    for name in names:
        torch.testing.assert_close(average.weights[name], before[name] + 1 - decays[0])
    live = {name: p.detach().clone() for name, p in model.named_parameters()}
    with average.applied(model):
        for name, parameter in model.named_parameters():
            expected = before[name] + 1 - decays[0] if name in names else live[name]
            torch.testing.assert_close(parameter.detach(), expected)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.detach(), live[name])
    average.update(model)
    for name in names:
        expected = decays[1] * (before[name] + 1 - decays[0]) + (1 - decays[1]) * live[name]
        torch.testing.assert_close(average.weights[name], expected)
    average.load({name: torch.zeros_like(t) for name, t in average.weights.items()}, 7)
    assert average.updates == 7 and not any(t.any() for t in average.weights.values())
    assert EMA(model, 0.5, ()).weights == {}
