"""fp16: micro-batches that weigh as one batch, skipped steps, and when skipping is a fault."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from support.faulty import bad_at, begin, state_hash, stops
from support.trainings import QUIET, assert_same, trace
from torch import Tensor, nn
from torch.nn import functional as F

from ftune.assembly.job import job
from ftune.engine.average import EMA
from ftune.engine.callback import NullCallback
from ftune.engine.faults import ResilientStep
from ftune.engine.gradients import Shares
from ftune.engine.state import State
from ftune.engine.step import Step
from ftune.models.call import targets
from ftune.objectives import Batch, Forward, Loss, TaskObjective
from ftune.optim.schedule import Curve
from ftune.runs.folder import RunFolder, read_metrics
from ftune.tasks.classification_task import ClassificationTask
from ftune.tasks.language_task import LanguageModelTask
from ftune.training.reopen import reopen
from ftune.training.run import Run
from ftune.training.train import train

HALF = partial(torch.autocast, "cpu", torch.float16)
WEIGHTS = [0.2, 2.0, 5.0]
STEPS, RATE = 12, 1e-3


def network(steep: float = 1.0) -> nn.Sequential:
    """steep: multiplies the last weights, and with them the gradients of the layer before."""
    torch.manual_seed(0)
    bias = steep == 1  # whose gradient is a sum over rows
    first, last = nn.Linear(4, 8, bias), nn.Linear(8, 3, bias)
    last.weight.data *= steep
    return nn.Sequential(first, nn.Tanh(), last)


def state_of(model: nn.Module, scale: float = 2.0**16, average: EMA | None = None) -> State:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    names = [name for name, _ in model.named_parameters()]
    optimizer.param_groups[0] |= {"lr_scale": 1.0, "names": names}
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    return State(model, [optimizer], Curve(0, lambda _: 1.0), lambda _: None, scaler, average)


def rows(number: int, count: int, size: float = 1.0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(number)
    x = size * torch.randn(count, 4, generator=generator)
    return {"x": x, "y": torch.randint(3, (count,), generator=generator)}


def cut(whole: Mapping[str, Tensor], sizes: Sequence[int]) -> list[dict[str, Tensor]]:
    parts = {name: torch.split(tensor, list(sizes)) for name, tensor in whole.items()}
    return [{n: parts[n][i] for n in parts} for i in range(len(sizes))]


def step_of(weights: Sequence[float] | None) -> Step:
    task = ClassificationTask(("a", "b", "c"), weights, 0.0, None)
    return Step(TaskObjective(task.loss, task.weight), autocast=HALF)


STEEP = (200.0, 0.01)  # gradients of single rows overflow, weights' do not
WIDE = (1.0, 100.0)  # the sum over the rows, in the weights' gradient, overflows


def trained(
    sizes: Sequence[int], weights: Sequence[float] | None, case: tuple[float, float] = STEEP
) -> tuple[State, list[float]]:
    """After STEPS steps; the loss scale after each of them."""
    state, step, scales = state_of(network(case[0])), step_of(weights), []
    assert state.scaler
    state.base_lr = RATE
    state.set_lr()
    for number in range(STEPS):
        step(state, cut(rows(number, sum(sizes), case[1]), sizes))
        scales.append(state.scaler.get_scale())
    return state, scales


def by_torch(
    count: int, weights: Sequence[float] | None, case: tuple[float, float] = STEEP
) -> tuple[nn.Module, list[float]]:
    """torch's own loop over one batch a step."""
    model, scaler = network(case[0]), torch.amp.GradScaler("cpu")
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)
    weight, scales = None if weights is None else torch.tensor(weights), []
    for number in range(STEPS):
        batch = rows(number, count, case[1])
        optimizer.zero_grad()
        with HALF():
            loss = F.cross_entropy(model(batch["x"]).float(), batch["y"], weight)
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    return model, scales


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("sizes", [[64], [16] * 4, [8] * 8, [16, 16, 16, 3], [1, 63]])
def test_micro_batches_skip_and_learn_as_torchs_one_batch(
    sizes: list[int], weights: list[float] | None
) -> None:
    state, scales = trained(sizes, weights)
    model, expected = by_torch(sum(sizes), weights)
    assert scales == expected and scales[-1] < 2.0**16, "the case needs skipped steps"
    for mine, its in zip(state.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(mine, its, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("sizes", [[64], [16] * 4, [8] * 8, [1, 63]])
def test_never_more_steps_are_skipped_than_with_one_batch(sizes: list[int]) -> None:
    """Sums over the rows of a micro-batch are smaller, and added in fp32: fewer may overflow."""
    _, scales = trained(sizes, None, WIDE)
    _, expected = by_torch(64, None, WIDE)
    assert expected[-1] < 2.0**16 and scales[-1] >= expected[-1]


def test_control_the_gradient_of_the_sum_overflows_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """What version 0.1 scaled: as many times more as the batch has rows."""
    monkeypatch.setattr(Shares, "next", lambda *_: 1.0)
    _, scales = trained([16] * 4, None)
    _, expected = by_torch(64, None)
    assert scales[-1] * 16 < expected[-1]


def test_control_the_mean_of_each_overflows_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shares, "next", lambda *_: 1 / 4)
    _, scales = trained([4] * 16, None)
    _, expected = by_torch(64, None)
    assert scales[-1] < expected[-1]


def test_positions_count_not_rows() -> None:
    """Two texts of one token and two of many: as in one batch, whose mean is over tokens."""
    torch.manual_seed(1)
    task, y = LanguageModelTask(5, 0.0), torch.randint(5, (4, 9))
    y[:2, 1:] = -100
    batch = {"x": torch.randn(4, 9, 6), "y": y}

    grown = []
    for sizes in ([4], [2, 2], [1, 1, 1, 1]):
        torch.manual_seed(0)
        state = state_of(nn.Linear(6, 5), 1024.0)
        Step(TaskObjective(task.loss), autocast=HALF)(state, cut(batch, sizes))
        grown.append([p.detach().clone() for p in state.parameters])
    for other in grown[1:]:
        for p, q in zip(grown[0], other, strict=True):
            torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("measured", [True, False])
@pytest.mark.parametrize("sizes", [[8], [4, 4], [2, 6]])
def test_the_result_depends_on_no_projection(sizes: list[int], measured: bool) -> None:
    """The first micro-batch weighs next to nothing, which multiplies no other's gradient."""
    batch = rows(0, 8) | {"y": torch.tensor([0, 0, 0, 0, 1, 2, 1, 2])}
    weights = [1e-6, 1.0, 3.0]
    state, model, step = state_of(network(), 2.0**10), network(), step_of(weights)
    if not measured:
        assert isinstance(step.objective, TaskObjective)
        step = replace(step, objective=replace(step.objective, weigh=targets))
    step(state, cut(batch, sizes))
    assert state.scaler and state.scaler.get_scale() == 2.0**10, "nothing overflows"
    F.cross_entropy(model(batch["x"]), batch["y"], torch.tensor(weights)).backward()  # type: ignore[no-untyped-call]
    for mine, its in zip(state.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad, rtol=5e-3, atol=1e-3)


def test_the_measure_of_classes_is_their_weight() -> None:
    task = ClassificationTask(("a", "b", "c"), WEIGHTS, 0.0, None)
    plain = rows(0, 8)
    mixed = plain | {"partner": torch.arange(7, -1, -1), "share": torch.rand(8)}
    for batch in (plain, mixed):
        _, weight = task.loss(torch.zeros(8, 3), batch)
        assert float(task.weight(batch)) == pytest.approx(float(weight), rel=1e-6)


def test_fp32_is_divided_once_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums over micro-batches, bit for bit those of torch, then one division."""
    monkeypatch.setattr(Shares, "next", None)
    state, model = state_of(network()), network()
    state.scaler = None
    parts = cut(rows(0, 16), [5, 11])
    step = Step(step_of(None).objective)
    step(state, parts)
    for part in parts:
        F.cross_entropy(model(part["x"]), part["y"], reduction="sum").backward()  # type: ignore[no-untyped-call]
    for mine, its in zip(state.model.parameters(), model.parameters(), strict=True):
        assert mine.grad is not None and its.grad is not None
        assert torch.equal(mine.grad, its.grad / 16)


def infinite(model: nn.Module, part: str) -> TaskObjective:
    """A loss whose gradient is infinite at one parameter only."""

    def loss(outputs: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, float]:
        weight = model.get_parameter(part)
        root = (weight - weight.detach()).abs().sqrt().sum()  # 0, with an infinite slope
        return F.cross_entropy(outputs, batch["y"], reduction="sum") + root, 8.0

    return TaskObjective(loss)


def two_optimizers(model: nn.Module) -> list[torch.optim.Optimizer]:
    groups = [("0.", torch.optim.SGD), ("2.", torch.optim.AdamW)]
    optimizers = []
    for prefix, kind in groups:
        named = [(n, p) for n, p in model.named_parameters() if n.startswith(prefix)]
        row = {"params": [p for _, p in named], "names": [n for n, _ in named], "lr_scale": 1.0}
        optimizers.append(kind([row], lr=0.1))
    return optimizers


@pytest.mark.parametrize("part", ["0.weight", "2.bias"])
def test_all_optimizers_skip_alike(part: str) -> None:
    model = network()
    before = [p.detach().clone() for p in model.parameters()]
    state = State(model, two_optimizers(model), Curve(0, lambda _: 1.0), lambda _: None)
    state.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    result = Step(infinite(model, part))(state, [rows(0, 8)])
    assert result.skipped and not result.applied and math.isfinite(result.loss)
    assert all(torch.equal(p, q) for p, q in zip(before, model.parameters(), strict=True))
    assert state.scaler.get_scale() == 4.0 and state.overflows == 1
    assert Step(step_of(None).objective)(state, [rows(0, 8)]).applied
    assert state.overflows == 0


def test_a_skipped_step_has_the_parts_of_its_loss() -> None:
    """They are logged beside its loss, as means over the same steps."""

    class Named:
        def __call__(self, forward: Forward, batch: Batch) -> Loss:
            loss = steep(forward, batch)
            return Loss(loss.sum, loss.weight, {"all": loss.sum.detach()})

        measure = staticmethod(targets)

    model = network()
    steep = infinite(model, "0.weight")
    result = Step(Named())(state_of(model), [rows(0, 8)])
    assert result.skipped
    assert result.parts == {"all": pytest.approx(result.loss)}


def test_control_torchs_scaler_skips_one_optimizer_only() -> None:
    model, scaler = network(), torch.amp.GradScaler("cpu", init_scale=8.0)
    before = [p.detach().clone() for p in model.parameters()]
    batch = rows(0, 8)
    loss, _ = infinite(model, "0.weight").loss(model(batch["x"]), batch)
    scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    for optimizer in two_optimizers(model):
        scaler.step(optimizer)
    same = [torch.equal(p, q) for p, q in zip(before, model.parameters(), strict=True)]
    assert same == [True, True, False, False]


def test_an_optimizer_without_gradients_is_no_hindrance() -> None:
    """Everything of one optimizer is frozen at first; GradScaler alone would refuse to step."""
    model = network()
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    state = State(model, two_optimizers(model), Curve(0, lambda _: 1.0), lambda _: None)
    state.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    assert Step(step_of(None).objective)(state, [rows(0, 8)]).applied


def test_the_average_and_the_statistics_wait(tmp_path: Path) -> None:
    """A step that is skipped leaves everything as the step before it did, batch norm's too."""
    states = []
    for pause in (4, 3):
        run = half(tmp_path / str(pause), "train.ema=0.9")
        run.pause_at = pause
        with bad_at(3, "gradient", math.inf, times=1):
            train(run)
        states.append(run.state)
    skipped, before = states
    assert skipped.average is not None
    assert (skipped.step, skipped.updates, skipped.average.updates) == (4, 3, 3)
    assert state_hash(skipped) == state_hash(before)


def half(out: Path, *changes: str) -> Run:
    return begin(out, "train.precision=fp16", "train.log_every=1", *changes)


def test_the_schedule_waits_for_a_skipped_step(tmp_path: Path) -> None:
    run = half(tmp_path / "run", "schedule={name: linear, warmup: 0}", "optimizer.lr=0.024")
    with bad_at(3, "gradient", math.inf, times=2):
        summary = train(run)
    rates = [m["lr"] for m in read_metrics(tmp_path / "run/metrics.jsonl") if m["split"] == "train"]
    total = run.parts.total
    clock = [0, 1, 2, 3, 3, 3, *range(4, total - 2)]
    assert rates == pytest.approx([0.024 * (1 - t / total) for t in clock])
    assert summary["steps"] == total and summary["skipped"] == 2
    assert f"{total - 2} of {total} steps updated the model" in summary["notes"][-1]
    assert "2 skipped, as their fp16 gradients overflowed" in summary["notes"][-1]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_gradients_that_are_never_finite_are_a_fault(bad: float, tmp_path: Path) -> None:
    """Version 0.1 ended `done` with nothing applied."""
    run = half(tmp_path / "run", "train.epochs=6")
    with bad_at(0, "gradient", bad, times=10**6):
        said = stops(run)
    assert "step 17: the gradient of last.bias is not finite in fp16" in said
    assert "even at a loss scale of 1 after 16 skipped steps in a row" in said
    assert run.state.step == run.state.skipped == 16
    assert RunFolder(tmp_path / "run").facts()["status"] == "failed"


@pytest.mark.parametrize(("times", "skipped"), [(19, 19), (20, None)])
def test_twenty_in_a_row_are_a_fault_whatever_the_scale(
    times: int, skipped: int | None, tmp_path: Path
) -> None:
    run = half(tmp_path / "run", "train.epochs=4")
    run.state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**34)
    with bad_at(0, "gradient", math.inf, times):
        if skipped is None:
            assert "a loss scale of 32,768 after 19 skipped steps in a row" in stops(run)
        else:
            assert train(run)["skipped"] == skipped


def test_a_fault_may_be_skipped_but_not_without_end(tmp_path: Path) -> None:
    run = half(tmp_path / "run", "train.epochs=6", "train.non_finite={policy: skip, limit: 3}")
    with bad_at(0, "gradient", math.nan, times=10**6):
        assert "after 3 faults before it the run ends" in stops(run)
    assert (run.state.skipped_faults, run.state.skipped) == (4, 19)


def test_probes_of_the_scale_are_no_faults(tmp_path: Path) -> None:
    """A scaler that tries a larger scale every second step, and finds it too large each time."""
    run = half(tmp_path / "run", "train.epochs=6")
    run.state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**15, growth_interval=2)
    original, steep = Step.loss, infinite(run.state.model, "last.bias")

    def too_steep(self: Step, forward: Any, batch: Any) -> Loss:
        loss = original(self, forward, batch)
        assert run.state.scaler
        high = run.state.scaler.get_scale() > 2.0**15
        return replace(loss, sum=loss.sum + steep(forward, batch).sum * 0) if high else loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Step, "loss", too_steep)
        summary = train(run)
    assert summary["status"] == "done"
    assert summary["skipped"] == run.parts.total // 3


def test_a_run_that_skips_is_resumed_exactly(tmp_path: Path) -> None:
    """Paused between two skipped steps: the clock, the average and the row of overflows go on."""
    changes = ("train.ema=0.9", "schedule=cosine", "train.early_stop={patience: 9, min_delta: 1}")
    with bad_at(5, "gradient", math.inf, times=3):
        train(half(tmp_path / "whole", *changes))
    run = half(tmp_path / "parts", *changes)
    run.pause_at = 6
    with bad_at(5, "gradient", math.inf, times=1):
        train(run)
    resumed = reopen(RunFolder(tmp_path / "parts"), QUIET)
    assert (resumed.state.skipped, resumed.state.overflows) == (1, 1)
    with bad_at(6, "gradient", math.inf, times=2):
        train(resumed)
    assert resumed.state.skipped == 3
    assert_same(trace(tmp_path / "whole"), trace(tmp_path / "parts"))


def test_a_checkpoint_of_version_0_1_goes_on(tmp_path: Path) -> None:
    run = half(tmp_path / "run")
    run.pause_at = 5
    train(run)
    tensors, loop = run.state.tensors()
    old = {k: v for k, v in loop.items() if k not in ("skipped", "overflows", "reference")}
    other = half(tmp_path / "other").state
    other.load(tensors, old | {"faults": 2})
    assert (other.step, other.skipped, other.updates, other.overflows) == (5, 2, 3, 0)
    assert other.reference == other.best == run.state.best is not None


def test_a_run_measures_by_the_task(tmp_path: Path) -> None:
    """Micro-batches of weighted classes in a run are shared out as those above."""
    run = half(tmp_path / "run", "task={name: classification, class_weights: {setosa: 9}}")
    attempt = job(run.parts, NullCallback()).step
    assert isinstance(attempt, ResilientStep) and isinstance(run.parts.task, ClassificationTask)
    assert isinstance(attempt.step.objective, TaskObjective)
    assert attempt.step.objective.weigh == run.parts.task.weight


def test_a_skipped_first_step_takes_no_parameter_for_idle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Version 0.1 clipped it by an infinite norm, and said that finite gradients were missing."""
    run = half(tmp_path / "run", "train.epochs=1", "~adapt")
    run.state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20)
    assert train(run)["skipped"] and run.config.train.clip_norm
    assert "without gradient" not in capsys.readouterr().err
