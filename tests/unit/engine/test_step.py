"""One optimizer step against torch written by hand."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ftune.engine.average import EMA
from ftune.engine.gradients import finite
from ftune.engine.state import State
from ftune.engine.step import Step, StepResult
from ftune.errors import DivergedError
from ftune.objectives import Batch, TaskObjective
from ftune.optim.schedule import Curve
from ftune.tasks.classification_task import ClassificationTask

WEIGHTS = [0.5, 2.0, 1.0]


def network(outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, outputs))


def batch(rows: int, seed: int = 1, outputs: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 4, generator=generator)
    return {"x": x, "y": torch.randint(outputs, (rows,), generator=generator)}


def cut(whole: Mapping[str, Tensor], sizes: Sequence[int]) -> list[dict[str, Tensor]]:
    parts = {name: torch.split(tensor, list(sizes)) for name, tensor in whole.items()}
    return [{n: parts[n][i] for n in parts} for i in range(len(sizes))]


def classes(weights: Sequence[float] | None = None) -> ClassificationTask:
    return ClassificationTask(("a", "b", "c"), weights, 0.0, None)


def loss_of(task: ClassificationTask) -> TaskObjective:
    return TaskObjective(task.loss, task.weight)


def squares(outputs: Tensor, rows: Batch) -> tuple[Tensor, float]:
    wanted = F.one_hot(rows["y"], 3).float()
    return F.mse_loss(outputs, wanted, reduction="sum"), float(wanted.numel())


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.01),
}


def state_of(model: nn.Module, kind: str = "sgd", average: EMA | None = None) -> State:
    optimizer = OPTIMIZERS[kind](model.parameters())
    for group in optimizer.param_groups:
        group["lr_scale"] = 1.0
        group["names"] = [name for name, _ in model.named_parameters()]
    return State(model, [optimizer], Curve(0, lambda _: 1.0), lambda _: None, average=average)


def bits(state: State) -> list[bytes]:
    tensors = [*state.model.parameters()]
    tensors += [t for o in state.optimizers for s in o.state.values() for t in s.values()]
    return [t.detach().numpy().tobytes() for t in tensors]


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("loss", ["cross entropy", "weighted", "mse"])
def test_equals_torch_bit_for_bit(kind: str, loss: str) -> None:
    model, other = network(), network()
    state, reference = state_of(model, kind), OPTIMIZERS[kind](other.parameters())
    weight = torch.tensor(WEIGHTS)
    ours: dict[str, Any] = {
        "cross entropy": loss_of(classes()), "weighted": loss_of(classes(WEIGHTS)),
        "mse": TaskObjective(squares),
    }  # fmt: skip
    theirs: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "cross entropy": lambda out, y: F.cross_entropy(out, y, reduction="sum") / len(y),
        "weighted": lambda out, y: (
            F.cross_entropy(out, y, weight, reduction="sum") / weight[y].sum()
        ),
        "mse": lambda out, y: (
            F.mse_loss(out, F.one_hot(y, 3).float(), reduction="sum") / out.numel()
        ),
    }
    for number in range(5):
        rows = batch(16, number)
        found = Step(ours[loss])(state, [rows])
        reference.zero_grad()
        wanted = theirs[loss](other(rows["x"]), rows["y"])
        wanted.backward()  # type: ignore[no-untyped-call]
        reference.step()
        assert found.loss == pytest.approx(wanted.item(), rel=1e-6)
        for mine, its in zip(model.parameters(), other.parameters(), strict=True):
            assert torch.equal(mine, its)


@pytest.mark.parametrize("sizes", [[8, 8, 8, 8], [8, 8, 8, 3], [1, 15]])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_micro_batches_weigh_as_one(sizes: list[int], weights: list[float] | None) -> None:
    rows = batch(sum(sizes))
    one, many = state_of(network()), state_of(network())
    a = Step(loss_of(classes(weights)))(one, [rows])
    b = Step(loss_of(classes(weights)))(many, cut(rows, sizes))
    assert a.loss == pytest.approx(b.loss, rel=1e-6)
    for p, q in zip(one.model.parameters(), many.model.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("sizes", "weights"), [([8, 3], None), ([8, 8], WEIGHTS)])
def test_control_a_mean_of_means_is_another_step(
    sizes: list[int], weights: list[float] | None
) -> None:
    task = classes(weights)

    def mean(outputs: Tensor, rows: Batch) -> tuple[Tensor, float]:
        total, count = task.loss(outputs, rows)
        return total / count, 1.0

    rows = batch(sum(sizes))
    one, many = state_of(network()), state_of(network())
    Step(loss_of(task))(one, [rows])
    Step(TaskObjective(mean))(many, cut(rows, sizes))
    pairs = zip(one.model.parameters(), many.model.parameters(), strict=True)
    assert any(not torch.allclose(p, q, rtol=1e-4, atol=1e-6) for p, q in pairs)


def poison(where: str) -> TaskObjective:
    """A loss that is finite with a gradient that is not, or not finite itself."""

    def loss(out: Tensor, _: Batch) -> tuple[Tensor, float]:
        if where == "gradient":  # the root of zero: value 0, slope infinite
            return (out - out.detach()).abs().sqrt().sum(), float(len(out))
        return out.sum() * (math.nan if where == "nan" else math.inf), float(len(out))

    return TaskObjective(loss)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("where", ["nan", "inf", "gradient"])
@pytest.mark.parametrize("clip", [{}, {"norm": 1.0}, {"value": 1.0}])
@pytest.mark.parametrize("parts", [[8], [4, 4]])
def test_nothing_moves_when_it_diverges(
    kind: str, where: str, clip: dict[str, float], parts: list[int]
) -> None:
    state = state_of(network(), kind)
    Step(loss_of(classes()))(state, [batch(8)])
    before = bits(state)
    said = "gradient of 2.bias" if where == "gradient" else "the loss is"
    with pytest.raises(DivergedError, match=said):
        Step(poison(where), clip.get("norm"), clip.get("value"))(state, cut(batch(8), parts))
    assert bits(state) == before


def test_control_torch_alone_would_move() -> None:
    state = state_of(network())
    before = bits(state)
    total = poison("gradient")(state.forward, batch(8)).sum
    total.backward()  # type: ignore[no-untyped-call]
    state.optimizers[0].step()
    assert bits(state) != before


def test_second_micro_batch_is_checked_too() -> None:
    state = state_of(network())
    rows = batch(8)
    rows["x"][7] = math.nan
    before = bits(state)
    with pytest.raises(DivergedError, match="the loss is nan"):
        Step(loss_of(classes()))(state, cut(rows, [4, 4]))
    assert bits(state) == before


def stepped(step: Step, rows: Mapping[str, Tensor]) -> tuple[State, StepResult]:
    state = state_of(network())
    return state, step(state, [rows])


@pytest.mark.parametrize("limit", [0.01, 0.3, 1e6])
def test_clip_norm_is_torchs(limit: float) -> None:
    rows, model = batch(8), network()
    state, result = stepped(Step(loss_of(classes()), clip_norm=limit), rows)
    F.cross_entropy(model(rows["x"]), rows["y"]).backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), limit)
    assert result.grad_norm == pytest.approx(float(norm), rel=1e-6)
    for mine, its in zip(state.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad)


@pytest.mark.parametrize("limit", [1e-3, 0.05, 1e6])
def test_clip_value_is_torchs(limit: float) -> None:
    rows, model = batch(8), network()
    state, _ = stepped(Step(loss_of(classes()), clip_value=limit), rows)
    F.cross_entropy(model(rows["x"]), rows["y"]).backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_value_(model.parameters(), limit)
    for mine, its in zip(state.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad)


def test_value_then_norm() -> None:
    rows, model = batch(8), network()
    state, _ = stepped(Step(loss_of(classes()), clip_norm=0.05, clip_value=0.01), rows)
    F.cross_entropy(model(rows["x"]), rows["y"]).backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_value_(model.parameters(), 0.01)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.05)
    for mine, its in zip(state.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad)


def test_rate_is_scaled_by_group() -> None:
    model = network()
    state = state_of(model)
    state.optimizers[0].param_groups[0]["lr_scale"] = 0.0
    state.set_lr()
    before = bits(state)[:4]
    Step(loss_of(classes()))(state, [batch(8)])
    assert bits(state)[:4] == before


@pytest.mark.parametrize("parts", [[8], [5, 3]])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_step_that_weighs_nothing_has_no_gradient(parts: list[int], clip: float | None) -> None:
    """All rows of a class of weight 0: 0/0 must become a gradient of zero, not NaN."""
    rows = batch(8) | {"y": torch.zeros(8, dtype=torch.long)}
    state = state_of(network())
    before = bits(state)[:4]
    result = Step(loss_of(classes([0.0, 1.0, 1.0])), clip_norm=clip)(state, cut(rows, parts))
    assert result.loss == 0
    assert bits(state)[:4] == before
    assert all(p.grad is not None and not p.grad.any() for p in state.parameters)


def test_weightless_micro_batch_among_others() -> None:
    rows = batch(8)
    rows["y"][:4], rows["y"][4:] = 0, 1
    one, many = state_of(network()), state_of(network())
    step = Step(loss_of(classes([0.0, 1.0, 1.0])))
    step(one, [rows])
    step(many, cut(rows, [4, 4]))
    for p, q in zip(one.model.parameters(), many.model.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_control_torchs_mean_of_weightless_rows_is_nan() -> None:
    y = torch.zeros(8, dtype=torch.long)
    assert F.cross_entropy(torch.randn(8, 3), y, torch.tensor([0.0, 1, 1])).isnan()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_finite_finds_one_bad_entry(bad: float) -> None:
    gradients = [torch.ones(5, 3), torch.ones(700)]
    before = copy.deepcopy(gradients)
    assert finite(gradients)
    assert all(torch.equal(a, b) for a, b in zip(gradients, before, strict=True))
    gradients[1][699] = bad
    assert not finite(gradients)
    assert finite([])


def test_fp16_skips_the_step_and_halves_the_scale() -> None:
    state = state_of(network())
    state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    before = bits(state)[:4]
    Step(poison("gradient"))(state, [batch(8)])
    assert bits(state)[:4] == before
    assert state.scaler.get_scale() == 2.0**9
