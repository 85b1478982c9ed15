"""The moving average against its formula, and evaluation that leaves no trace."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import nn

from ftune.engine.average import EMA
from ftune.engine.evaluate import evaluate, inference, outputs


class Rows:
    """Metrics that adds up outputs."""

    def __init__(self) -> None:
        self.total, self.count = 0.0, 0

    def update(self, outputs: torch.Tensor, batch: object) -> None:
        del batch
        assert not outputs.requires_grad
        self.total, self.count = self.total + float(outputs.sum()), self.count + len(outputs)

    def state(self) -> dict[str, float]:
        return {"total": self.total, "count": self.count}

    def merge(self, state: Mapping[str, float]) -> None:
        self.total, self.count = self.total + state["total"], self.count + int(state["count"])

    def compute(self) -> dict[str, float]:
        return {"mean": self.total / self.count}


def moved(model: nn.Linear, step: int) -> None:
    with torch.no_grad():
        model.weight.fill_(float(step))


def test_average_is_the_formula() -> None:
    model = nn.Linear(2, 1)
    moved(model, 0)
    average, expected = EMA(model, 0.95), 0.0
    for step in range(1, 300):
        moved(model, step)
        average.update(model)
        decay = min(0.95, (1 + step - 1) / (10 + step - 1))
        expected = decay * expected + (1 - decay) * step
    torch.testing.assert_close(average.weights["weight"], torch.full((1, 2), expected))


def test_late_average_is_swa_utils() -> None:
    """After the first steps it is torch's own exponential average."""
    model = nn.Linear(3, 2)
    ours = EMA(model, 0.9)
    ours.updates = 10_000
    theirs = torch.optim.swa_utils.AveragedModel(
        model,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9),  # type: ignore[no-untyped-call]
    )
    theirs.update_parameters(model)
    for seed in range(20):
        with torch.no_grad():
            model.weight.copy_(torch.randn(2, 3, generator=torch.Generator().manual_seed(seed)))
        ours.update(model)
        theirs.update_parameters(model)
    torch.testing.assert_close(ours.weights["weight"], theirs.module.state_dict()["weight"])


def test_applied_and_back() -> None:
    model = nn.Linear(2, 1)
    moved(model, 1)
    average = EMA(model, 0.9)
    moved(model, 2)
    address = model.weight.data_ptr()
    with average.applied(model):
        assert model.weight.detach().eq(1).all()
    assert model.weight.detach().eq(2).all() and model.weight.data_ptr() == address
    assert average.weights["weight"].eq(1).all()


def test_live_weights_come_back_after_an_error() -> None:
    model = nn.Linear(2, 1)
    average = EMA(model, 0.9)
    moved(model, 2)
    try:
        with average.applied(model):
            raise KeyError
    except KeyError:
        pass
    assert model.weight.detach().eq(2).all()


def test_evaluation_restores_every_mode() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Sequential(nn.Dropout(0.5)))
    model.train()
    model[1].eval()
    modes = [m.training for m in model.modules()]
    state = copy.deepcopy(model.state_dict())
    rows = [{"x": torch.randn(5, 3)}, {"x": torch.randn(2, 3)}]
    scores = evaluate(model, Rows(), rows)
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(a, state[n]) for n, a in model.state_dict().items())
    with inference(model):
        assert not any(m.training for m in model.modules())
        assert not torch.is_grad_enabled()
    out = outputs(model, rows)
    assert out.shape == (7, 3)
    assert abs(float(out.sum()) / 7 - scores["mean"]) < 1e-6


def test_modes_come_back_after_an_error() -> None:
    model = nn.Linear(3, 3).train()
    try:
        with inference(model):
            raise KeyError
    except KeyError:
        pass
    assert model.training and torch.is_grad_enabled()
