"""One optimizer step at its edges: memory, precision, limits, devices, what is refused."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ftune.engine.gradients import finite
from ftune.engine.state import State
from ftune.engine.step import Step
from ftune.errors import DivergedError, OutOfMemoryError
from ftune.objectives import Batch, TaskObjective
from ftune.optim.schedule import Curve


class Line(nn.Module):
    """y = slope · x, with a parameter that nothing uses."""

    def __init__(self, slope: float = 1.0) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor([slope]))
        self.unused = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.slope


def state_of(model: nn.Module) -> State:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    optimizer.param_groups[0]["lr_scale"] = 1.0
    return State(model, [optimizer], Curve(0, lambda _: 1.0), lambda _: None)


def sums(outputs: Tensor, _: Batch) -> tuple[Tensor, float]:
    """The sum of outputs, each counted twice: the mean loss is half the mean output."""
    return outputs.sum(), 2.0 * len(outputs)


total = TaskObjective(sums)


def rows(*values: float) -> dict[str, Tensor]:
    return {"x": torch.tensor(values)}


@pytest.mark.parametrize("parts", [[rows(1.0, 2.0, 6.0)], [rows(1.0, 2.0), rows(6.0)]])
def test_the_mean_loss_is_offered_before_anything_moves(parts: list[Batch]) -> None:
    seen = []

    def accept(state: State, loss: float) -> None:
        seen.append((loss, state.model.get_parameter("slope").item()))

    state = state_of(Line(3.0))
    result = Step(total, accept=accept)(state, parts)
    assert seen == [(27 / 6, 3.0)] and result.loss == 27 / 6
    assert state.model.get_parameter("slope").item() == pytest.approx(3.0 - 0.5 * 9 / 6)


def test_what_is_refused_moves_nothing() -> None:
    def refuse(state: State, loss: float) -> None:
        raise DivergedError(f"{loss} at {state.step}")

    state = state_of(Line())
    with pytest.raises(DivergedError, match=r"0\.75 at 0"):
        Step(total, accept=refuse)(state, [rows(1.0, 2.0)])
    assert state.model.get_parameter("slope").item() == 1.0


def test_memory_that_ends_in_a_micro_batch_may_shrink_and_in_the_update_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise RuntimeError("can't allocate memory: you tried to allocate 9 bytes")

    with pytest.raises(OutOfMemoryError, match="in a micro-batch") as caught:
        Step(TaskObjective(full))(state_of(Line()), [rows(1.0)])
    assert caught.value.shrinks
    state = state_of(Line())
    monkeypatch.setattr(state.optimizers[0], "step", full)
    with pytest.raises(OutOfMemoryError, match="in the update") as caught:
        Step(total)(state, [rows(1.0)])
    assert not caught.value.shrinks


def test_the_loss_is_computed_in_the_precision_of_the_training() -> None:
    """torch.autocast itself says which type a product has."""
    kinds = []

    def loss(output: Tensor, _: Batch) -> tuple[Tensor, float]:
        kinds.append(output.dtype)
        return output.float().sum(), 2.0

    for autocast in (None, nullcontext, lambda: torch.autocast("cpu", torch.bfloat16)):
        model = nn.Linear(2, 1)
        batch = {"x": torch.ones(3, 2)}
        expected = model(batch["x"]).sum().item() / 2
        result = Step(TaskObjective(loss), autocast=autocast)(state_of(model), [batch, batch])
        assert result.loss == pytest.approx(expected, rel=2e-2)
    assert kinds == [torch.float32] * 4 + [torch.bfloat16] * 2


@pytest.mark.parametrize("size", [1e-7, 1e-5, 3.0])
def test_gradients_of_any_size_are_clipped_as_torch_does(size: float) -> None:
    reference = nn.Parameter(torch.ones(1))
    reference.grad = torch.full((1,), size / 2)
    torch.nn.utils.clip_grad_norm_([reference], size / 8)
    state = state_of(Line())
    result = Step(total, clip_norm=size / 8)(state, [rows(size)])
    assert result.grad_norm == pytest.approx(size / 2)
    clipped = state.model.get_parameter("slope").grad
    torch.testing.assert_close(clipped, reference.grad, rtol=1e-5, atol=0)


def test_a_gradient_on_the_limit_stays_as_it_is() -> None:
    state = state_of(Line())
    assert Step(total, clip_norm=1.0)(state, [rows(2.0)]).grad_norm == 1.0
    assert state.model.get_parameter("slope").grad == torch.ones(1)


def test_without_gradients_the_norm_is_zero() -> None:
    def constant(_: Tensor, batch: Batch) -> tuple[Tensor, float]:
        return batch["x"].sum() + batch["free"].sum(), 1.0

    state = state_of(Line())
    batch = rows(1.0) | {"free": torch.ones(1, requires_grad=True)}
    assert Step(TaskObjective(constant), clip_norm=1.0)(state, [batch, batch]).grad_norm == 0.0
    assert Step(TaskObjective(constant))(state, [batch]).grad_norm is None
    assert state.model.get_parameter("slope").item() == 1.0


class Elsewhere(torch.Tensor):
    """A tensor that says it lies on a device for which torch has no kernel of the scaler's."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("mps")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_finite_without_the_kernel_of_the_scaler(bad: float) -> None:
    good = torch.ones(3).as_subclass(Elsewhere)
    broken = torch.tensor([1.0, bad]).as_subclass(Elsewhere)
    assert finite([good, good]) is True
    assert finite([good, broken]) is False and finite([broken, good]) is False


def test_finite_is_a_plain_truth() -> None:
    assert finite([torch.ones(2)]) is True and finite([]) is True
    assert finite([torch.tensor([math.nan])]) is False


def test_the_gradient_that_broke_first_is_named_not_the_first_there_is() -> None:
    """Backwards: `last` is computed before `first`, and has a gradient that is finite."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Parameter(torch.zeros(1))
            self.middle = nn.Parameter(torch.ones(1))
            self.last = nn.Parameter(torch.ones(1))
            self.unused = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return (x * self.first * self.middle).abs().sqrt() + self.last

    state = state_of(Two())
    with pytest.raises(DivergedError, match=r"^the gradient of middle is not finite"):
        Step(total)(state, [rows(1.0)])
    with pytest.raises(DivergedError, match=r"^the gradient of middle is not finite"):
        Step(total, clip_norm=1.0)(state, [rows(1.0)])


def test_a_norm_too_large_for_its_type_is_named_as_such() -> None:
    """Each entry is finite, the root of the sum of their squares is not."""

    def steep(outputs: Tensor, _: Batch) -> tuple[Tensor, float]:
        return (outputs * 3e38 * torch.tensor(0.9)).sum(), 1.0

    class Wide(Line):
        def __init__(self) -> None:
            super().__init__()
            self.slope = nn.Parameter(torch.zeros(4))

    state = state_of(Wide())
    with pytest.raises(DivergedError, match="the norm of the whole gradient is not finite"):
        Step(TaskObjective(steep), clip_norm=1.0)(state, [rows(1.0, 1.0, 1.0, 1.0)])
