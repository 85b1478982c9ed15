"""A training that was interrupted and resumed equals one that never was, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from support.trainings import (
    EVERYTHING,
    QUIET,
    assert_same,
    begin,
    configuration,
    differences,
    interrupted,
    trace,
    undisturbed,
)

from ftune.engine.state import State
from ftune.optim import OPTIMIZERS, SCHEDULES
from ftune.runs.folder import RunFolder
from ftune.schema import RunConfig
from ftune.training.train import reopen, train

STEPS = 24  # 6 an epoch, 4 epochs

# One thing at a time, on top of a training without any of them.
BARE = (
    "~adapt", "schedule=constant", "~train.ema", "train.accumulate=1", "train.batch_size=16",
    "~train.early_stop", "~train.clip_norm",
    'model.layers=[{linear: 8, as: layer1}, relu, {linear: out, as: last}]',
)  # fmt: skip
FEATURES: dict[str, Sequence[str]] = {
    "bare": (),
    "dropout": ("model.layers=[{linear: 8}, relu, {dropout: 0.4}, {linear: out}]",),
    "batchnorm": ("model.layers=[{linear: 8}, batchnorm, relu, {linear: out}]",),
    "ema": ("train.ema=0.9",),
    "accumulation": ("train.accumulate=3", "train.batch_size=5"),
    "plateau": ("schedule={name: plateau, warmup: 0.2, patience: 0}",),
    "early stop": ("train.early_stop=2", "optimizer.lr=0.5"),
    "unfreezing": ("adapt=[{match: layer1.*, from_epoch: 2}]",),
    "fp16": ("train.precision=fp16",),
    "bf16": ("train.precision=bf16",),
    "no validation": ("data.split.val=0", "eval.metric=auto"),
    "value clipping": ("train.clip_value=0.01",),
    "average of the log": ("train.log_every=9",),
}


def instants(seed: str, count: int = 3, steps: int = STEPS) -> list[int]:
    return sorted(random.Random(seed).sample(range(1, steps), count))


def check(config: RunConfig, folder: Path, at: Sequence[int]) -> None:
    undisturbed(config, folder / "whole")
    interrupted(config, folder / "parts", at)
    assert_same(trace(folder / "whole"), trace(folder / "parts"))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name: str, tmp_path: Path) -> None:
    """With dropout, batch statistics, EMA, accumulation, plateau, clipping and unfreezing."""
    settings = "{name: sgd, lr: 0.05, momentum: 0.9}" if name == "sgd" else f"{{name: {name}}}"
    config = configuration(f"optimizer={settings}", "optimizer.lr=0.02")
    check(config, tmp_path, instants(name))


@pytest.mark.parametrize("name", [n for n in SCHEDULES if n not in ("plateau", "constant")])
def test_every_schedule(name: str, tmp_path: Path) -> None:
    steps = "{name: step, every: 3}" if name == "step" else name
    check(configuration(*BARE, f"schedule={steps}"), tmp_path, instants(name, 1))


@pytest.mark.parametrize("name", FEATURES)
def test_each_feature_alone(name: str, tmp_path: Path) -> None:
    config = configuration(*BARE, *FEATURES[name])
    last = 4 if name == "early stop" else STEPS
    check(config, tmp_path, instants(name, 2, last))


def test_before_and_after_every_look(tmp_path: Path) -> None:
    """Interrupted at the very start, around evaluations, and one step before the end."""
    config = configuration()
    check(config, tmp_path, [0, 1, 2, 3, 4, 13, 14, 15, STEPS - 1])


def test_resumed_at_the_same_step_twice(tmp_path: Path) -> None:
    check(configuration(), tmp_path, [6, 6, 7, 7])


def test_killed_before_pointing(tmp_path: Path) -> None:
    """A checkpoint was renamed into place, and the process died before best.json was written."""
    config = configuration()
    undisturbed(config, tmp_path / "whole")
    summary = train(begin(config, tmp_path / "parts", pause_at=8))
    assert summary["best"]["step"] == 8, "the case needs a best step to be interrupted at"
    for pointer in ("best", "latest"):
        (tmp_path / "parts" / "checkpoints" / f"{pointer}.json").unlink()
    run = reopen(RunFolder(tmp_path / "parts"), QUIET)
    run.pause_at = 8
    train(run)
    names = {p.name for p in (tmp_path / "parts" / "checkpoints").glob("*.json")}
    assert names == {"best.json", "latest.json"}


# What each forgets after a resume; every one must be seen by the comparison.
def _forget_optimizer(state: State) -> None:
    for optimizer in state.optimizers:
        optimizer.state.clear()


def _forget_rng(state: State) -> None:
    del state
    torch.manual_seed(12345)


def _forget_average(state: State) -> None:
    assert state.average
    live = dict(state.model.named_parameters())
    state.average.weights = {n: live[n].detach().clone() for n in state.average.weights}


def _forget_average_count(state: State) -> None:
    assert state.average
    state.average.updates = 0


def _forget_schedule(state: State) -> None:
    state.schedule.load({"best": None, "waited": 0, "scale": 1.0})


def _forget_step(state: State) -> None:
    state.step -= 1


def _forget_looked(state: State) -> None:
    state.looked = -1


def _forget_waiting(state: State) -> None:
    state.waiting = 0


def _forget_best(state: State) -> None:
    state.best = None


def _forget_buffers(state: State) -> None:
    for buffer in state.model.buffers():
        buffer.zero_()


FORGETFUL: list[Callable[[State], None]] = [
    _forget_optimizer, _forget_rng, _forget_average, _forget_average_count, _forget_schedule,
    _forget_step, _forget_looked, _forget_waiting, _forget_best, _forget_buffers,
]  # fmt: skip

RESTLESS = (
    "optimizer.lr=0.6",  # the loss rises again, so that there is something to wait for
    "train.early_stop=50",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("whole") / "run"
    undisturbed(configuration(*RESTLESS), out)
    return trace(out)


AT = [16, 22]


def test_control_nothing_forgotten(whole: dict[str, Any], tmp_path: Path) -> None:
    interrupted(configuration(*RESTLESS), tmp_path / "run", AT)
    assert_same(whole, trace(tmp_path / "run"))


@pytest.mark.parametrize("forget", FORGETFUL, ids=lambda f: f.__name__.removeprefix("_forget_"))
def test_control_forgetting_is_seen(
    forget: Callable[[State], None],
    whole: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load = State.load

    def forgetful(self: State, *given: Any) -> None:
        load(self, *given)
        forget(self)

    monkeypatch.setattr(State, "load", forgetful)
    interrupted(configuration(*RESTLESS), tmp_path / "run", AT)
    assert differences(whole, trace(tmp_path / "run"))


def test_the_matrix_covers_what_it_says() -> None:
    """The shared configuration really has every feature that the optimizers are tried with."""
    config = configuration()
    assert config.train.ema and config.train.accumulate == 2 and config.train.early_stop
    assert config.adapt[0].from_epoch == 2
    layers = str(EVERYTHING["model"])
    assert "dropout" in layers and "batchnorm" in layers
