"""Which settings train the same: compared with what the trainings themselves give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.sweeps import PLAIN
from support.trainings import configuration, trace, undisturbed

from ftune.assembly.build import build, read_data
from ftune.search.duplicates import configuration_key, training_key

SGD = "optimizer={name: sgd, lr: 0.1, momentum: 0.0}"
EQUAL: dict[str, tuple[list[str], list[str]]] = {
    "a whole number": (["optimizer.lr=1"], ["optimizer.lr=1.0"]),
    "a default": (["optimizer=sgd"], ["optimizer={name: sgd, lr: 0.1, momentum: 0.9}"]),
    "switched off": ([SGD, "optimizer.dampening=0.5"], [SGD]),
    "replaced": (["train.steps=9", "train.epochs=2"], ["train.steps=9", "train.epochs=3"]),
    "keeps more": (["train.keep=3", "train.log_every=2"], ["train.log_every=5"]),
    "unread": (["lr_find.first=0.2"], ["lr_find.first=0.3"]),
}
EQUAL_BUILT: dict[str, tuple[list[str], list[str]]] = {
    "epochs and steps": (["train.epochs=1"], ["train.steps=6"]),  # 96 rows in batches of 16
    "all rows at once": (["train.batch_size=96"], ["train.batch_size=512", "train.accumulate=3"]),
    "drop_last of nothing": (["train.drop_last=true"], []),
    "looks": (["eval.every={epochs: 1}"], ["eval.every={steps: 6}"]),
    "metric": (["eval.metric=auto"], ["eval.metric=accuracy"]),
    "warm-up": (["schedule={name: linear, warmup: {steps: 6}}"],
                ["schedule={name: linear, warmup: 0.25}"]),
    "default drops": (["schedule=step"], ["schedule={name: step, at: [0.5, 0.75]}"]),
    "more rows than there are": (["data.limit=100000"], []),
    "rows by share and by count": (["data.split.val=0.1"], ["data.split.val=15"]),
    "rows at a time in evaluation": (["eval.batch_size=7"], []),
    "patience beyond the end": (["train.early_stop={patience: 50}"], []),
    "weights of 1": (["task={name: classification, class_weights: {setosa: 1}}"],
                     ["task=classification"]),
}  # fmt: skip
DIFFERENT: dict[str, tuple[list[str], list[str]]] = {
    "rate": (["optimizer.lr=0.1"], ["optimizer.lr=0.2"]),
    "seed": (["seed=1"], ["seed=2"]),
    "momentum": (["optimizer={name: sgd, lr: 0.1}"], [SGD]),
    "dampening": (["optimizer={name: sgd, lr: 0.1}"],
                  ["optimizer={name: sgd, lr: 0.1, dampening: 0.5}"]),
    "searched": (["optimizer.lr=auto", "lr_find.first=0.2"],
                 ["optimizer.lr=auto", "lr_find.first=0.3"]),
    "rollback": (["train.non_finite=rollback", "train.checkpoint_every={steps: 1}"],
                 ["train.non_finite=rollback", "train.checkpoint_every={steps: 5}"]),
    "accumulation": (["train.batch_size=16"], ["train.batch_size=8", "train.accumulate=2"]),
    "rows": (["data.split.val=22"], ["data.split.val=21"]),
    "fewer rows": (["data.limit=60"], []),
    "other parts": (["data.split={val: 20, test: 10}"], ["data.split={val: 10, test: 20}"]),
    "drops": (["schedule=step"], ["schedule={name: step, at: [0.5, 0.7]}"]),
    "patience": (["train.early_stop={patience: 1}"], []),
    "weights": (["task={name: classification, class_weights: {setosa: 2}}"],
                ["task=classification"]),
}  # fmt: skip


def built_key(changes: list[str]) -> str:
    config = configuration(*changes, plain=PLAIN)
    return training_key(config, build(config, read_data(config)))


@pytest.mark.parametrize("pair", EQUAL.values(), ids=EQUAL)
def test_configurations_that_train_the_same(pair: tuple[list[str], list[str]]) -> None:
    one, other = (configuration_key(configuration(*c, plain=PLAIN)) for c in pair)
    assert one == other
    one, other = (built_key(c) for c in pair)
    assert one == other


@pytest.mark.parametrize("pair", EQUAL_BUILT.values(), ids=EQUAL_BUILT)
def test_trainings_that_are_the_same(pair: tuple[list[str], list[str]]) -> None:
    one, other = (built_key(c) for c in pair)
    assert one == other
    one, other = (configuration_key(configuration(*c, plain=PLAIN)) for c in pair)
    assert one != other, "known only when they are built"


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT)
def test_trainings_that_are_not(pair: tuple[list[str], list[str]]) -> None:
    one, other = (configuration_key(configuration(*c, plain=PLAIN)) for c in pair)
    assert one != other
    if "optimizer.lr=auto" not in pair[0]:
        one, other = (built_key(c) for c in pair)
        assert one != other


@pytest.mark.parametrize(
    "name",
    [
        "switched off",
        "all rows at once",
        "drop_last of nothing",
        "warm-up",
        "default drops",
        "more rows than there are",
        "patience beyond the end",
        "weights of 1",
    ],
)
def test_what_is_held_to_be_the_same_gives_the_same_weights(name: str, tmp_path: Path) -> None:
    """The reference is training both."""
    traces: list[Any] = []
    for number, changes in enumerate({**EQUAL, **EQUAL_BUILT}[name]):
        config = configuration(*changes, "train.log_every=1", plain=PLAIN)
        undisturbed(config, tmp_path / str(number))
        traces.append(trace(tmp_path / str(number)))
    assert traces[0]["latest"] == traces[1]["latest"]
    assert traces[0]["metrics"] == traces[1]["metrics"]
