"""Every optimizer of the table: torch's own arithmetic, its settings, and exact continuation."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ftune.config.fields import settings_of
from ftune.config.read import SettingError
from ftune.errors import CheckpointError
from ftune.optim import OPTIMIZERS
from ftune.optim.groups import Group
from ftune.optim.state import load_optimizer_tensors, optimizer_tensors

ALL = pytest.mark.parametrize("name", OPTIMIZERS)

REFERENCE: dict[str, Any] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=0.01),
}

# A second value for every setting that an optimizer has, to see that it is passed on.
OTHER: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.5, "nesterov": True, "dampening": 0.5},
    "adam": {"betas": (0.5, 0.9), "eps": 0.1, "amsgrad": True},
    "adamw": {"betas": (0.5, 0.9), "eps": 0.1, "amsgrad": True},
    "nadam": {
        "betas": (0.5, 0.9),
        "eps": 0.1,
        "momentum_decay": 1.0,
        "decoupled_weight_decay": True,
    },
    "radam": {"betas": (0.5, 0.9), "eps": 0.1, "decoupled_weight_decay": True},
    "rmsprop": {"alpha": 0.5, "eps": 0.1, "momentum": 0.5, "centered": True},
    "adagrad": {"lr_decay": 1.0, "initial_accumulator_value": 1.0, "eps": 0.1},
    "adafactor": {"beta2_decay": -0.1, "eps": 0.1, "least_scale": 0.5, "d": 2.0},
    "muon": {"momentum": 0.5, "nesterov": False, "ns_steps": 2, "betas": (0.5, 0.9), "eps": 0.1},
}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 1))


def groups_of(model: nn.Module) -> list[Group]:
    named = dict(model.named_parameters())
    head = [name for name in named if name.startswith("4.")]
    body = [name for name in named if name not in head]
    return [
        Group(
            tuple(names), tuple(named[n] for n in names), scale, decay,
            tuple(named[n].ndim == 2 and n not in head for n in names),
        )
        for names, scale, decay in ((body, 1.0, None), ((), 5.0, 0.5), (head, 2.0, 0.0))
    ]  # fmt: skip


def train(model: nn.Module, optimizers: list[torch.optim.Optimizer], steps: range) -> None:
    for step in steps:
        inputs = torch.randn(16, 6, generator=torch.Generator().manual_seed(step))
        for optimizer in optimizers:
            optimizer.zero_grad()
        ((model(inputs) - inputs.sum(1, keepdim=True)) ** 2).mean().backward()
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = 0.01 / (step + 1) * group["lr_scale"]
            optimizer.step()


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", REFERENCE)
def test_one_plain_group_is_torchs_own(name: str) -> None:
    ours, theirs = network(), network()
    names, parameters = zip(*ours.named_parameters(), strict=True)
    built = OPTIMIZERS[name]().build([Group(names, parameters)], 0.01)
    reference = REFERENCE[name](theirs.parameters())
    for step in range(5):
        inputs = torch.randn(16, 6, generator=torch.Generator().manual_seed(step))
        for model, optimizer in ((ours, built[0]), (theirs, reference)):
            optimizer.zero_grad()
            model(inputs).square().mean().backward()
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=2e-5, atol=1e-6)


def test_muon_takes_the_flagged_matrices_and_adamw_the_rest() -> None:
    ours, theirs = network(), network()
    muon, adamw = OPTIMIZERS["muon"]().build(groups_of(ours), 0.01)
    assert [g["names"] for g in muon.param_groups] == [["0.weight", "2.weight"]]
    assert [g["names"] for g in adamw.param_groups] == [
        ["0.bias", "2.bias"],
        ["4.weight", "4.bias"],
    ]
    named = dict(theirs.named_parameters())
    reference = [
        torch.optim.Muon(
            [named["0.weight"], named["2.weight"]], lr=0.01, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(
            [
                {"params": [named["0.bias"], named["2.bias"]], "lr": 0.01, "weight_decay": 0.1},
                {"params": [named["4.weight"], named["4.bias"]], "lr": 0.02, "weight_decay": 0.0},
            ]
        ),
    ]
    for model, optimizers in ((ours, [muon, adamw]), (theirs, reference)):
        model(torch.ones(3, 6)).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@ALL
def test_groups_carry_names_scale_and_decay(name: str) -> None:
    schema = OPTIMIZERS[name](weight_decay=0.25)
    optimizers = schema.build(groups_of(network()), 0.5)
    rows = [group for optimizer in optimizers for group in optimizer.param_groups]
    assert {n for row in rows for n in row["names"]} == set(dict(network().named_parameters()))
    for row in rows:
        head = row["names"][0].startswith("4.")
        assert row["lr_scale"] == (2.0 if head else 1.0)
        assert row["lr"] == 0.5 * row["lr_scale"]
        assert row["weight_decay"] == (0.0 if head else 0.25)


@ALL
def test_nothing_to_train_builds_nothing(name: str) -> None:
    assert OPTIMIZERS[name]().build([Group((), ())], 0.1) == []
    assert OPTIMIZERS[name]().build([], 0.1) == []


@pytest.mark.parametrize(
    ("name", "key"), [(n, k) for n, others in OTHER.items() for k in (*others, "weight_decay")]
)
def test_every_setting_changes_the_training(name: str, key: str) -> None:
    results = []
    for changes in ({}, {key: OTHER[name].get(key, 0.3)}):
        model = network()
        base = {"weight_decay": 0.1} if key == "decoupled_weight_decay" else {}
        train(model, OPTIMIZERS[name](**base, **changes).build(groups_of(model), 0.01), range(8))
        results.append(weights(model))
    assert not equal(*results)


@ALL
def test_the_tables_of_this_file_name_every_setting(name: str) -> None:
    assert set(settings_of(OPTIMIZERS[name])) == {"lr", "weight_decay", *OTHER[name]}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "adagrad"])
def test_fused_where_torch_has_it(name: str, dtype: torch.dtype) -> None:
    parameter = nn.Parameter(torch.ones(3, dtype=dtype))
    (optimizer,) = OPTIMIZERS[name]().build([Group(("w",), (parameter,))], 0.1)
    assert optimizer.defaults["fused"] is True
    parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert (parameter < 1).all()


def test_complex_parameters_are_not_fused() -> None:
    parameter = nn.Parameter(torch.ones(3, dtype=torch.complex64))
    (optimizer,) = OPTIMIZERS["adam"]().build([Group(("w",), (parameter,))], 0.1)
    assert not optimizer.defaults["fused"]


@pytest.mark.parametrize("changes", [{}, {"momentum": 0.0}], ids=["momentum", "plain"])
def test_nesterov_needs_momentum(changes: dict[str, float]) -> None:
    schema = OPTIMIZERS["sgd"]
    if changes:
        with pytest.raises(SettingError, match="momentum"):
            schema(nesterov=True, **changes)
    else:
        schema(nesterov=True)


def continued(name: str, change: Any = None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights after 7 steps at once, and after 4, a save, fresh objects, a load, and 3."""
    whole = network()
    train(whole, OPTIMIZERS[name]().build(groups_of(whole), 0.01), range(7))
    first = network()
    optimizers = OPTIMIZERS[name]().build(groups_of(first), 0.01)
    train(first, optimizers, range(4))
    tensors, scalars = optimizer_tensors(optimizers)
    tensors, scalars = {k: v.clone() for k, v in tensors.items()}, copy.deepcopy(scalars)
    if change:
        change(tensors)
    second = network()
    second.load_state_dict(first.state_dict())
    fresh = OPTIMIZERS[name]().build(groups_of(second), 0.01)
    load_optimizer_tensors(fresh, tensors, scalars)
    train(second, fresh, range(4, 7))
    return weights(whole), weights(second)


@ALL
def test_continuation_is_bit_exact(name: str) -> None:
    assert equal(*continued(name))


@ALL
def test_continuation_notices_any_other_state(name: str) -> None:
    def disturb(tensors: dict[str, Tensor]) -> None:
        key = next(
            k
            for k in tensors
            if k.endswith(("momentum_buffer", "exp_avg", "sum", "avg", "row_var"))
        )
        tensors[key] += 0.5

    assert not equal(*continued(name, disturb))


def saved(name: str) -> tuple[list[torch.optim.Optimizer], dict[str, Tensor], dict[str, Any]]:
    model = network()
    optimizers = OPTIMIZERS[name]().build(groups_of(model), 0.01)
    train(model, optimizers, range(2))
    tensors, scalars = optimizer_tensors(optimizers)
    return OPTIMIZERS[name]().build(groups_of(network()), 0.01), dict(tensors), scalars


@ALL
def test_wrong_shape_dtype_or_name_is_refused(name: str) -> None:
    fresh, tensors, scalars = saved(name)
    key = max(tensors, key=lambda k: tensors[k].numel())
    for broken, message in (
        ({**tensors, key: tensors[key].T.contiguous()[..., :-1]}, "needs"),
        ({**tensors, key: tensors[key].double()}, "float64"),
        ({k: v for k, v in tensors.items() if k != key}, f"lacks {key}"),
        ({**tensors, "0.weight/more": tensors[key]}, "fits nothing"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load_optimizer_tensors(fresh, broken, scalars)
        assert not optimizer_tensors(fresh)[1]["optimizers"][0]["updated"] or name == "adagrad"
    load_optimizer_tensors(fresh, tensors, scalars)


def test_state_follows_names_not_positions() -> None:
    _, tensors, scalars = saved("adamw")
    model = network()
    turned = [
        replace(g, names=g.names[::-1], parameters=g.parameters[::-1]) for g in groups_of(model)
    ]
    fresh = OPTIMIZERS["adamw"]().build(turned[::-1], 0.01)
    load_optimizer_tensors(fresh, tensors, scalars)
    for name, parameter in model.named_parameters():
        assert torch.equal(fresh[0].state[parameter]["exp_avg"], tensors[f"{name}/exp_avg"])


def test_another_optimizer_is_refused() -> None:
    _, tensors, scalars = saved("sgd")
    fresh, _, _ = saved("adam")
    with pytest.raises(CheckpointError, match="is of SGD, but this run has Adam"):
        load_optimizer_tensors(fresh, tensors, scalars)


def test_a_setting_that_needs_more_state_is_refused() -> None:
    _, tensors, scalars = saved("adam")
    fresh = OPTIMIZERS["adam"](amsgrad=True).build(groups_of(network()), 0.01)
    with pytest.raises(CheckpointError, match=r"lacks 0\.weight/max_exp_avg_sq"):
        load_optimizer_tensors(fresh, tensors, scalars)


def test_unknown_parameters_are_refused() -> None:
    _, tensors, scalars = saved("adam")
    fresh = OPTIMIZERS["adam"]().build(groups_of(network())[:1], 0.01)
    with pytest.raises(CheckpointError, match=r"not trained here: 4\.weight"):
        load_optimizer_tensors(fresh, tensors, scalars)


@ALL
def test_parameters_never_updated_have_no_state_and_continue(name: str) -> None:
    """Gradual unfreezing: a parameter without a gradient is skipped until it gets one."""
    model = network()
    optimizers = OPTIMIZERS[name]().build(groups_of(model), 0.01)
    model[0].requires_grad_(False)
    train(model, optimizers, range(2))
    tensors, scalars = optimizer_tensors(optimizers)
    fresh = OPTIMIZERS[name]().build(groups_of(model), 0.01)
    load_optimizer_tensors(fresh, {k: v.clone() for k, v in tensors.items()}, scalars)
    before = optimizer_tensors(fresh)
    assert before[1] == scalars
    assert equal(before[0], tensors)


def test_loaded_state_shares_no_memory() -> None:
    fresh, tensors, scalars = saved("adam")
    load_optimizer_tensors(fresh, tensors, scalars)
    kept = {k: v.clone() for k, v in tensors.items()}
    for group in fresh[0].param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    fresh[0].step()
    assert equal(kept, tensors)
