"""A training that was interrupted and resumed equals one that never was, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.forgetful import AT, FORGETFUL, RESTLESS, resumed_without
from support.trainings import (
    EVERYTHING,
    QUIET,
    assert_same,
    begin,
    configuration,
    interrupted,
    trace,
    undisturbed,
)

from ftune.optim import OPTIMIZERS, SCHEDULES
from ftune.runs.folder import RunFolder
from ftune.schema.root import RunConfig
from ftune.training.reopen import reopen
from ftune.training.train import train

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
    "a lone row": (
        "model.layers=[{linear: 8}, batchnorm, relu, {linear: out}]",
        "data.limit=89",
        "train.batch_size=8",
        "train.accumulate=2",
    ),
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


def test_control_nothing_forgotten(tmp_path: Path) -> None:
    check(configuration(*RESTLESS), tmp_path, AT)


@pytest.mark.parametrize("name", FORGETFUL)
def test_control_forgetting_is_seen(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resumed_without(name, tmp_path, monkeypatch)


def test_the_matrix_covers_what_it_says() -> None:
    """The shared configuration really has every feature that the optimizers are tried with."""
    config = configuration()
    assert config.train.ema and config.train.accumulate == 2 and config.train.early_stop
    assert config.adapt[0].from_epoch == 2
    layers = str(EVERYTHING["model"])
    assert "dropout" in layers and "batchnorm" in layers
