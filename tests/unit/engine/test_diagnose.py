"""Where a number that is not finite came from: the first tensor and all guilty rows, exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ftune.engine import diagnose
from ftune.engine.diagnose import Diagnosis, first_broken, first_tensor, float_tensors
from ftune.engine.state import State
from ftune.objectives import TaskObjective
from ftune.optim.schedule import Curve

ROWS = 12


def summed(loss: Callable[[Tensor], Tensor]) -> TaskObjective:
    """The loss of outputs alone; what it weighs is asked by nobody here."""
    return TaskObjective(lambda outputs, _: (loss(outputs), 1.0))


squares = summed(lambda outputs: outputs.square().sum())


def state_of(model: nn.Module) -> State:
    parameters = list(model.parameters())
    optimizers = [torch.optim.SGD(parameters, lr=0.1)] if parameters else []
    return State(model, list(optimizers), Curve(0, lambda _: 1.0), lambda _: None)


def diagnosed(
    x: Tensor,
    model: nn.Module | None = None,
    loss: TaskObjective = squares,
    rows: Sequence[int] | None = None,
) -> str:
    """What is said of a step that sees `rows` of `x`, by default all, as one batch."""
    state = state_of(model or nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)))
    positions = torch.arange(len(x)) if rows is None else torch.tensor(rows)
    diagnosis = Diagnosis(
        loss,
        lambda _: positions,
        lambda _, some: {"x": x[some]},
        lambda rows: [f"r{n}" for n in rows],
    )
    return diagnosis(state, [{"x": x[positions]}])


def inputs(*bad: int, rows: int = ROWS) -> Tensor:
    torch.manual_seed(0)
    x = torch.randn(rows, 2)
    x[list(bad)] = math.nan
    return x


@pytest.mark.parametrize("bad", [(0,), (11,), (5, 6), (0, 3, 11), (1, 2, 3, 4, 5)])
def test_exactly_the_guilty_rows_are_named_in_order(bad: tuple[int, ...]) -> None:
    said = diagnosed(inputs(*bad))
    several = "s" if len(bad) > 1 else ""
    shown = ", ".join(f"r{row}" for row in bad)
    assert said == f"the input x is not finite; training row{several} {shown}"


def test_rows_are_those_of_the_set_not_of_the_batch() -> None:
    assert diagnosed(inputs(7), rows=[9, 7, 2]).endswith("training row r7")


def test_five_rows_are_shown_and_the_others_counted() -> None:
    said = diagnosed(inputs(0, 1, 2, 3, 4, 5, 6))
    assert said.endswith("training rows r0, r1, r2, r3, r4, … (7 of the batch)")


@pytest.mark.parametrize("rows", [2, 3, 12])
def test_all_rows_are_said_in_one_word(rows: int) -> None:
    said = diagnosed(inputs(*range(rows), rows=rows))
    assert said == f"the input x is not finite; every row of the batch of {rows} does it"


def test_the_only_row_is_named() -> None:
    assert diagnosed(inputs(0, rows=1)).endswith("; training row r0")


def test_rows_that_do_it_only_together() -> None:
    def together(outputs: Tensor) -> Tensor:
        return outputs.square().sum() * (math.inf if len(outputs) > 4 else 1.0)

    assert diagnosed(inputs(), loss=summed(together)) == "no single row of the batch does it alone"


def test_gradients_are_looked_at_not_the_loss_alone() -> None:
    """The root's slope at 0 is infinite and its value is not; other parameters are not used."""

    class Roots(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Parameter(torch.ones(2))
            self.scale = nn.Parameter(torch.ones(2))
            self.shift = nn.Parameter(torch.zeros(2))

        def forward(self, x: Tensor) -> Tensor:
            return (x * self.scale).abs().sqrt() + self.shift

    x = torch.ones(ROWS, 2)
    x[4] = 0
    assert diagnosed(x, Roots(), summed(torch.sum)) == "training row r4"
    frozen = Roots()
    frozen.scale.requires_grad_(False)
    assert "no single row" in diagnosed(x, frozen, summed(torch.sum))


def test_the_search_gives_up_after_so_many_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halving twelve rows down to one guilty row asks for nine batches."""
    asked = []
    original = Diagnosis._sound

    def counted(self: Diagnosis, state: State, rows: Tensor) -> bool:
        asked.append(len(rows))
        return original(self, state, rows)

    monkeypatch.setattr(Diagnosis, "_sound", counted)
    assert diagnosed(inputs(11)).endswith("training row r11")
    tries = len(asked)
    for most, said in ((tries, "training row r11"), (tries - 1, "does it alone")):
        monkeypatch.setattr(diagnose, "MOST_TRIES", most)
        asked.clear()
        assert diagnosed(inputs(11)).endswith(said)
        assert len(asked) == most


def test_parameters_come_before_buffers_before_inputs_before_outputs() -> None:
    model: Any = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))
    clean, broken = {"x": torch.ones(3, 2)}, {"x": torch.full((3, 2), math.inf)}
    assert first_tensor(state_of(model), [clean], squares) == ""
    assert first_tensor(state_of(model), [clean, broken], squares) == "the input x is not finite"
    huge = {"x": torch.full((3, 2), 3e38)}
    model[1].weight.data.fill_(1e20)
    model.eval()
    said = first_tensor(state_of(model), [clean, huge], squares)
    assert said == "first not finite: the output of 1 (Linear)"
    model[0].running_mean[0] = math.nan
    said = first_tensor(state_of(model), [broken], squares)
    assert said == "the buffer 0.running_mean is not finite"
    model[1].bias.data[0] = math.nan
    assert first_tensor(state_of(model), [broken], squares) == "the parameter 1.bias is not finite"
    assert diagnosed(inputs(3), model) == "the parameter 1.bias is not finite"


def test_whole_numbers_are_no_suspects() -> None:
    named = [("step", torch.tensor(3)), ("x", torch.tensor([1.0, math.inf]))]
    assert first_broken(named, "buffer") == "the buffer x is not finite"
    assert first_broken(named[:1], "buffer") == ""


class Stack(nn.Module):
    """Its parts give outputs of every kind of container."""

    def __init__(self, make: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.inner = Giving(make)
        self.outer = nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        self.inner(x)
        result: Tensor = self.outer(x)
        return result


class Giving(nn.Module):
    def __init__(self, make: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.make = make

    def forward(self, x: Tensor) -> Any:
        return self.make(x)


BROKEN = torch.tensor([1.0, math.nan])


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x * BROKEN,
        lambda x: (x, BROKEN),
        lambda x: [BROKEN, x],
        lambda x: {"ids": torch.tensor([1]), "hidden": (x, [BROKEN])},
    ],
)
def test_outputs_of_every_container_are_looked_into(make: Callable[[Tensor], Any]) -> None:
    model, batch = Stack(make), {"x": torch.ones(3, 2)}
    assert (
        first_tensor(state_of(model), [batch], squares)
        == "first not finite: the output of inner (Giving)"
    )
    fine = Stack(lambda x: (torch.tensor([1]), None, {"a": x}))
    assert first_tensor(state_of(fine), [batch], squares) == ""


def test_floats_are_found_in_order() -> None:
    a, b, c = torch.tensor(1.0), torch.tensor(2.0), torch.tensor(3.0)
    found = list(float_tensors({"x": (a, [torch.tensor(1), {"y": b}]), "z": c, "w": "text"}))
    assert [float(tensor) for tensor in found] == [1.0, 2.0, 3.0]


def test_the_model_itself_has_no_other_name() -> None:
    model = Giving(lambda x: x * math.inf)
    assert first_tensor(state_of(model), [{"x": torch.ones(1)}], squares) == (
        "first not finite: the output of the model"
    )


def test_the_first_of_many_broken_outputs_is_named() -> None:
    model = nn.Sequential(nn.Identity(), Giving(lambda x: x * math.inf), nn.Identity())
    said = first_tensor(state_of(model), [{"x": torch.ones(1)}], squares)
    assert said == "first not finite: the output of 1 (Giving)"


def test_nothing_is_changed_by_looking() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5), nn.Linear(2, 1))
    model[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x = inputs(2)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)

    def drawing(outputs: Tensor) -> Tensor:
        torch.rand(7)
        return outputs.square().sum()

    with torch.no_grad():
        assert diagnosed(x, model, summed(drawing)).endswith("training row r2")
    assert torch.equal(torch.rand(3), expected)
    assert [module.training for module in model] == [True, False, True]
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_hooks_go_where_the_loss_fails_too() -> None:
    def fails(_: Tensor) -> Tensor:
        raise RuntimeError("no memory")

    model = nn.Sequential(nn.Linear(2, 1))
    assert diagnosed(inputs(), model, summed(fails)) == ""
    assert not any(module._forward_hooks for module in model.modules())
