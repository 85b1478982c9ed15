"""What optimizers and schedules do at their edges: short trainings, foreign devices, long lists."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from ftune.config.read import SettingError
from ftune.errors import CheckpointError
from ftune.optim import OPTIMIZERS, SCHEDULES
from ftune.optim.groups import Group, construct
from ftune.optim.schedule import Warmup
from ftune.optim.state import device_of, load_optimizer_tensors, optimizer_tensors

FUSED = {"sgd", "adam", "adamw", "adagrad", "muon"}


def group(*names: str, matrix: bool = False) -> Group:
    parameters = tuple(nn.Parameter(torch.ones(2, 2)) for _ in names)
    return Group(names, parameters, matrix=(matrix,) * len(names))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_kernel_for_all_parameters_of_a_group(name: str) -> None:
    """torch's fused update where it has one, else its update of many tensors at once."""
    (optimizer,) = OPTIMIZERS[name]().build([group("w")], 0.1)
    assert bool(optimizer.defaults["fused" if name in FUSED else "foreach"])
    assert bool(optimizer.param_groups[0].get("fused")) == (name in FUSED)


def test_nesterov_refuses_dampening_by_the_settings_name() -> None:
    """As torch.optim.SGD does, but before the training."""
    with pytest.raises(ValueError, match="zero dampening"):
        torch.optim.SGD([nn.Parameter(torch.ones(1))], 0.1, 0.9, dampening=0.5, nesterov=True)
    with pytest.raises(SettingError, match="dampening: 0"):
        OPTIMIZERS["sgd"](nesterov=True, dampening=0.5)
    OPTIMIZERS["sgd"](dampening=0.5)


@pytest.mark.parametrize(("names", "others"), [(5, 10), (2, 1)])
def test_five_names_are_shown_and_the_others_counted(names: int, others: int) -> None:
    """Adam keeps three tensors of each parameter."""
    fresh = OPTIMIZERS["adam"]().build([group(*map(str, range(names)))], 0.1)
    scalars = {"optimizers": [{"class": "Adam", "updated": [str(n) for n in range(names)]}]}
    with pytest.raises(CheckpointError) as caught:
        load_optimizer_tensors(fresh, {}, scalars)
    assert len(re.findall(r"\d/\w+", str(caught.value))) == 5
    assert str(caught.value).endswith(f" and {others} more")


def test_five_names_alone_are_not_counted() -> None:
    fresh = OPTIMIZERS["sgd"]().build([group(*"abcde")], 0.1)
    scalars = {"optimizers": [{"class": "SGD", "updated": list("abcde")}]}
    with pytest.raises(CheckpointError, match=r"e/momentum_buffer$"):
        load_optimizer_tensors(fresh, {}, scalars)


def test_state_that_is_left_out_or_of_another_kind_is_named() -> None:
    fresh = OPTIMIZERS["sgd"]().build([group("w")], 0.1)
    with pytest.raises(CheckpointError, match="is of nothing, but this run has SGD"):
        load_optimizer_tensors(fresh, {}, {})


@pytest.mark.parametrize(
    ("key", "fused", "home"),
    [
        ("step", None, "cpu"),
        ("step", False, "cpu"),
        ("step", True, "meta"),
        ("mu_product", None, "cpu"),
        ("mu_product", True, "meta"),
        ("exp_avg", None, "meta"),
        ("exp_avg", True, "meta"),
    ],
)
def test_counters_come_back_where_torch_reads_them(key: str, fused: bool | None, home: str) -> None:
    """As torch.optim.Optimizer._process_value_according_to_param_policy; meta is any device."""
    parameter = torch.empty(2, device="meta")
    row = {} if fused is None else {"fused": fused}
    assert device_of(key, parameter, row).type == home
    if key == "step":
        kept = torch.optim.Optimizer._process_value_according_to_param_policy(
            parameter, torch.ones(()), 0, [{**row, "params": [0]}], key
        )
        assert kept.device.type == home


def test_parameters_without_updates_are_left_out_of_the_state() -> None:
    optimizers = OPTIMIZERS["adamw"]().build([group("a", "b")], 0.1)
    first, _ = optimizers[0].param_groups[0]["params"]
    first.grad = torch.ones_like(first)
    optimizers[0].step()
    tensors, scalars = optimizer_tensors(optimizers)
    assert scalars == {"optimizers": [{"class": "AdamW", "updated": ["a"]}]}
    assert set(tensors) == {"a/step", "a/exp_avg", "a/exp_avg_sq"}
    assert tensors["a/exp_avg"] is optimizers[0].state[first]["exp_avg"]


def test_a_parameter_without_updates_does_not_end_the_list() -> None:
    optimizers = OPTIMIZERS["adamw"]().build([group("a", "b")], 0.1)
    _, second = optimizers[0].param_groups[0]["params"]
    second.grad = torch.ones_like(second)
    optimizers[0].step()
    assert optimizer_tensors(optimizers)[1]["optimizers"][0]["updated"] == ["b"]


def test_state_that_a_rollback_takes_back_is_gone() -> None:
    """Loaded into an optimizer that has gone on: what had no update then has no state now."""
    optimizers = OPTIMIZERS["adamw"]().build([group("a", "b")], 0.1)
    first, second = optimizers[0].param_groups[0]["params"]
    first.grad = torch.ones_like(first)
    optimizers[0].step()
    tensors, scalars = optimizer_tensors(optimizers)
    kept = {name: tensor.clone() for name, tensor in tensors.items()}
    second.grad = torch.ones_like(second)
    optimizers[0].step()
    load_optimizer_tensors(optimizers, kept, scalars)
    tensors, scalars = optimizer_tensors(optimizers)
    assert scalars["optimizers"][0]["updated"] == ["a"] and tensors.keys() == kept.keys()


def test_state_without_tensors_comes_back() -> None:
    """Plain SGD keeps None for the momentum that it has not."""
    optimizers = OPTIMIZERS["sgd"](momentum=0.0).build([group("a")], 0.1)
    (parameter,) = optimizers[0].param_groups[0]["params"]
    parameter.grad = torch.ones_like(parameter)
    optimizers[0].step()
    tensors, scalars = optimizer_tensors(optimizers)
    assert tensors == {}
    fresh = OPTIMIZERS["sgd"](momentum=0.0).build([group("a")], 0.1)
    load_optimizer_tensors(fresh, tensors, scalars)
    (parameter,) = fresh[0].param_groups[0]["params"]
    parameter.grad = torch.ones_like(parameter)
    fresh[0].step()
    torch.testing.assert_close(parameter.detach(), torch.full((2, 2), 0.9))


def test_one_parameter_that_cannot_be_fused_unfuses_all() -> None:
    real, complex_ = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2) + 0j)
    (optimizer,) = OPTIMIZERS["adam"]().build([Group(("a", "b"), (real, complex_))], 0.1)
    assert optimizer.defaults["foreach"] and not optimizer.defaults["fused"]
    real.grad, complex_.grad = torch.ones_like(real), torch.ones_like(complex_)
    optimizer.step()
    torch.testing.assert_close(real.detach(), torch.full((2,), 0.9))


def test_groups_keep_rate_decay_and_names() -> None:
    (optimizer,) = construct(
        torch.optim.SGD, [group("a"), Group(("b",), group("b").parameters, 3.0, 0.5)], 0.1, 0.25
    )
    rows = [{k: v for k, v in row.items() if k != "params"} for row in optimizer.param_groups]
    assert [(r["names"], r["lr"], r["lr_scale"], r["weight_decay"]) for r in rows] == [
        (["a"], 0.1, 1.0, 0.25),
        (["b"], pytest.approx(0.3), 3.0, 0.5),
    ]


def test_flags_part_a_group_and_its_settings_stay() -> None:
    both = Group(("a", "b"), group("a", "b").parameters, 2.0, 0.5, (True, False))
    matrices, rest = both.matrices(True), both.matrices(False)
    assert (matrices.names, matrices.matrix) == (("a",), (True,))
    assert (rest.names, rest.matrix) == (("b",), (False,))
    assert matrices.parameters == both.parameters[:1] and rest.parameters == both.parameters[1:]
    assert (rest.lr_scale, rest.weight_decay) == (2.0, 0.5)
    plain = Group(("a", "b"), both.parameters)
    assert plain.matrices(True).names == () and plain.matrices(False).names == ("a", "b")


def factors(name: str, total: int, **settings: Any) -> list[float]:
    schedule = SCHEDULES[name](**settings).build(total, 10)
    return [schedule.factor(step) for step in range(total + 1)]


def test_wsd_falls_to_the_end_after_a_long_warmup() -> None:
    """Thirty of forty steps rise: the half that should fall has ten left."""
    rates = factors("wsd", 40, warmup=Warmup(steps=30), decay=0.5)
    assert rates[30:] == pytest.approx([1 - t / 10 for t in range(11)])


def test_one_step_of_one_cycle_is_at_the_peak() -> None:
    assert factors("one_cycle", 1)[0] == 1.0


@pytest.mark.parametrize("peak_at", [0.2, 0.3, 0.5, 0.75])
def test_one_cycle_is_torchs_at_any_length(peak_at: float) -> None:
    for total in (20, 41):
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        reference = lr_scheduler.OneCycleLR(
            optimizer, 1.0, total, pct_start=peak_at, div_factor=25, final_div_factor=1e4,
            cycle_momentum=False,
        )  # fmt: skip
        expected = []
        for _ in range(total):
            expected.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if len(expected) < total:
                reference.step()
        assert factors("one_cycle", total, peak_at=peak_at)[:total] == pytest.approx(expected)


def test_restarts_after_the_end_stay_at_the_end() -> None:
    rates = factors("cosine_restarts", 12, warmup=Warmup(steps=0), cycles=3, final=0.25)
    assert rates[12] == pytest.approx(0.25)
    assert [step for step, rate in enumerate(rates) if rate == 1.0] == [0, 4, 8]


@pytest.mark.parametrize("total", [3, 10])
def test_warmup_of_all_steps_ends_at_the_peak(total: int) -> None:
    for name in ("cosine", "linear", "cosine_restarts", "exponential", "polynomial"):
        rates = factors(name, total, warmup=Warmup(steps=total))
        assert rates == pytest.approx([(t + 1) / (total + 1) for t in range(total)] + [1.0])


def test_warmup_is_a_whole_number_of_steps() -> None:
    """As Python rounds: half a step goes to the even side."""
    lengths = [Warmup(fraction=0.05).length(total) for total in (30, 50, 49, 10, 29)]
    assert lengths == [2, 2, 2, 0, 1]
    assert all(isinstance(length, int) for length in lengths)


@pytest.mark.parametrize("name", ["linear", "cosine", "polynomial", "wsd"])
def test_one_step_is_at_the_peak_and_its_end_at_the_end(name: str) -> None:
    settings = {"decay": 1.0} if name == "wsd" else {}
    rates = factors(name, 1, warmup=Warmup(steps=0), final=0.125, **settings)
    assert rates == pytest.approx([1.0, 0.125])


def test_wsd_falls_over_whole_steps() -> None:
    rates = factors("wsd", 10, warmup=Warmup(steps=0), decay=0.25)
    assert rates == pytest.approx([1.0] * 9 + [0.5, 0.0])


@pytest.mark.parametrize("best", [100.0, 0.01])
def test_plateaus_threshold_is_a_share_of_the_best(best: float) -> None:
    """As torch's ReduceLROnPlateau in its relative mode, for large and for small values."""
    values = [best, best * 0.95, best * 0.85, best * 0.75]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=0.1)
    schedule = SCHEDULES["plateau"](
        warmup=Warmup(steps=0), patience=0, factor=0.5, threshold=0.1
    ).build(20, 10)
    for value in values:
        reference.step(value)
        schedule.observe(value)
        assert schedule.factor(9) == optimizer.param_groups[0]["lr"]


def test_a_curve_has_no_state() -> None:
    for name in ("constant", "cosine", "step", "one_cycle"):
        schedule = SCHEDULES[name]().build(20, 10)
        schedule.observe(1.0)
        assert schedule.state() == {}


def test_step_drops_at_exact_multiples() -> None:
    rates = factors("step", 40, warmup=Warmup(steps=0), every=1.0, gamma=0.5)
    assert rates == pytest.approx([0.5 ** (t // 10) for t in range(41)])
    late = factors("step", 40, warmup=Warmup(steps=5), at=[0.5], gamma=0.5)
    assert [t for t in range(6, 41) if late[t] != late[t - 1]] == [20]


def test_plateau_waits_counts_and_stops_at_its_least() -> None:
    schedule = SCHEDULES["plateau"](
        warmup=Warmup(steps=4), patience=1, factor=0.5, threshold=0.0, minimum=0.3
    ).build(20, 10)
    schedule.observe(1.0)
    scales = []
    for _ in range(6):
        schedule.observe(1.0)
        scales.append(schedule.factor(10))
    assert scales == [1.0, 0.5, 0.5, 0.3, 0.3, 0.3]
    assert [schedule.factor(step) for step in range(5)] == pytest.approx(
        [0.3 * (step + 1) / 5 for step in range(4)] + [0.3]
    )
    assert schedule.state() == {"best": 1.0, "waited": 0, "scale": 0.3}
