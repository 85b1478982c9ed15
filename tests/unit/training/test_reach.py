"""What lies beyond a training's end is said, with the numbers, as soon as they are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.trainings import QUIET, begin, configuration, undisturbed

from ftune.assembly.build import build, read_data
from ftune.commands.check import check
from ftune.commands.request import Request
from ftune.commands.sweep import sweep
from ftune.console import Console
from ftune.errors import ConfigError, RequestError
from ftune.optim import SCHEDULES
from ftune.runs.base import load_base
from ftune.runs.folder import read_metrics
from ftune.schema.root import LANGUAGE
from ftune.tasks import TASKS
from ftune.tasks.classification_task import ClassificationTask
from ftune.tasks.language_task import LanguageModelTask
from ftune.tasks.multi_label_task import MultiLabelTask
from ftune.tasks.regression_task import RegressionTask
from ftune.tasks.tagging_task import TaggingTask
from ftune.training.checkpoint_content import beyond
from ftune.training.reach import Length, unreached
from ftune.training.run import new_run
from ftune.training.train import train

# 24 steps of 6 an epoch, one thing at a time.
PLAIN = ("~adapt", "schedule=constant", "~train.early_stop", "eval.every=1", "train.log_every=5")
CASE = Path("../shared/cases/51-strategy-edges/t.yaml")

WARMUP = "schedule.warmup is 500 steps and the training 24 steps (4 epochs): the rate never reaches"
FADES = "the schedule's rate is below 1e-08 of its peak after"
BEYOND: dict[str, tuple[tuple[str, ...], str]] = {
    "warm-up": (("schedule={name: cosine, warmup: {steps: 500}}",), "it ends at 4.8% of it"),
    "warm-up as long": (
        ("schedule={name: linear, warmup: {steps: 24}}",), "ends at 96.0% of it"
    ),
    "evaluation in epochs": (
        ("eval.every=5",), "eval.every is 5 epochs and the training 24 steps (4 epochs): only"
    ),
    "evaluation in steps": (("eval.every={steps: 25}",), "eval.every is 25 steps and the training"),
    "evaluation that is listened to": (
        ("eval.every={steps: 25}", "train.early_stop=3"), ", and train.early_stop cannot act"
    ),
    "patience": (
        ("train.early_stop=4",),
        "train.early_stop needs 4 evaluations before the last, and the training has 3",
    ),
    "patience of a plateau": (
        ("schedule={name: plateau, patience: 2}",),
        "schedule: plateau needs 4 evaluations before the last, and the training has 3",
    ),
    "unfreezing": (
        ("adapt=[{match: layer1.*, from_epoch: 4}]",),
        "adapt.0.from_epoch is 4 and the training 4 epochs: `layer1.*` never begins",
    ),
    "drops": (
        ("schedule={name: step, every: 4}",),
        "schedule.every is 4 epochs and the training 4 epochs: the rate never drops",
    ),
    "a step schedule at 0": (
        ("schedule={name: step, every: 0.01, warmup: 0}",), f"{FADES} 4.2% of the training and at 0"
    ),
    "shares that end at 0": (
        ("schedule={name: step, at: [0.25, 0.5], gamma: 1e-200, warmup: 0}",), f"{FADES} 25.0%"
    ),
    "exponential by epoch": (
        ("schedule={name: exponential, gamma: 1e-9, warmup: 0}",), f"{FADES} 25.0% of the training"
    ),
    "exponential": (("schedule={name: exponential, final: 1e-300}",), FADES),
    "decay that the warm-up cuts": (
        ("schedule={name: wsd, decay: 0.5, warmup: {steps: 18}}",),
        "schedule.decay is 12 steps of the training, and its warm-up leaves 6",
    ),
    "cycles": (
        ("schedule={name: cosine_restarts, cycles: 25}",),
        "schedule.cycles is 25 and the training 24 steps (4 epochs): cycles shorter than a step",
    ),
    "a steep polynomial": (("schedule={name: polynomial, power: 400, warmup: 0}",), FADES),
    "spike guard": (
        ("train.spike_guard={threshold: 8, window: 24}",),
        "train.spike_guard.window is 24 losses and the training 24 steps (4 epochs): nothing",
    ),
    "log": (("train.log_every=25",), "metrics.jsonl gets no training loss"),
}  # fmt: skip
WITHIN = {
    "warm-up": ("schedule={name: cosine, warmup: {steps: 23}}",),
    "evaluation": ("eval.every=4",),
    "evaluation in steps": ("eval.every={steps: 24}",),
    "minutes are no matter": ("eval.every={steps: 9, epochs: 9}",),
    "patience": ("train.early_stop=3",),
    "patience of a plateau": ("schedule={name: plateau, patience: 1}",),
    "unfreezing": ("adapt=[{match: layer1.*, from_epoch: 3}]",),
    "drops": ("schedule={name: step, every: 3}",),
    "step": ("schedule=step",),
    "exponential": ("schedule={name: exponential, gamma: 0.1}",),
    "decay": ("schedule={name: wsd, decay: 0.25, warmup: {steps: 18}}",),
    "cycles": ("schedule={name: cosine_restarts, cycles: 24}",),
    "spike guard": ("train.spike_guard={threshold: 8, window: 23}",),
    "log": ("train.log_every=24",),
    "cosine": ("schedule=cosine",),
    "a polynomial": ("schedule={name: polynomial, power: 3, warmup: 0}",),
    "a polynomial that ends above 0": ("schedule={name: polynomial, power: 400, final: 0.1}",),
    "one cycle": ("schedule=one_cycle",),
}  # fmt: skip


def notes_of(*changes: str) -> list[str]:
    config = configuration(*PLAIN, *changes)
    return unreached(config, Length(24, 4.0, 6))


@pytest.mark.parametrize("case", BEYOND)
def test_what_lies_beyond_is_said_with_the_numbers(case: str) -> None:
    changes, sentence = BEYOND[case]
    (note,) = notes_of(*changes)
    assert sentence in note


@pytest.mark.parametrize("case", WITHIN)
def test_what_lies_within_is_not(case: str) -> None:
    assert notes_of(*WITHIN[case]) == []


@pytest.mark.parametrize("name", SCHEDULES)
def test_no_schedule_as_it_comes_is_noted(name: str) -> None:
    changes = (f"schedule={name}", "train.epochs=40")
    assert unreached(configuration(*PLAIN, *changes), Length(240, 40.0, 6)) == []


def test_the_numbers_are_those_of_the_training(tmp_path: Path) -> None:
    """The first step of the whole length is the one that the note names."""
    run = begin(configuration(*PLAIN, *BEYOND["warm-up"][0]), tmp_path / "run")
    assert beyond(run.config, run.parts)[0].startswith(WARMUP)
    summary = train(run)
    assert summary["notes"][0].startswith(WARMUP)
    rates = [m["lr"] for m in read_metrics(tmp_path / "run/metrics.jsonl") if m["split"] == "train"]
    assert rates[-1] / 0.02 == pytest.approx(20 / 501)


def test_without_validation_rows_no_evaluation_is_missed(tmp_path: Path) -> None:
    config = configuration(*PLAIN, "data.split.val=0", "eval.metric=auto", "eval.every=9")
    assert beyond(config, begin(config, tmp_path / "run").parts) == []


CHECKED: dict[str, tuple[tuple[str, ...], str]] = {
    "warm-up": (("schedule={name: cosine, warmup: {steps: 500}}", "train.steps=75"), "75 steps:"),
    "evaluation in epochs": (("eval.every=5",), "5 epochs and the training 4 epochs"),
    "evaluation in steps": (("eval.every={steps: 80}", "train.steps=75"), "80 steps"),
    "unfreezing": (("adapt=[{match: layer1.*, from_epoch: 9}]",), "adapt.0.from_epoch is 9"),
    "patience": (("train.early_stop=9",), "needs 9 evaluations before the last, and the"),
    "step": (("schedule={name: step, every: 1}", "train.epochs=400"), "and at 0 at its end"),
    "exponential": (("schedule={name: exponential, gamma: 0.1}", "train.epochs=400"), "after 7.0%"),
    "shares": (("schedule={name: step, at: [0.5], gamma: 1e-9}", "train.steps=80"), "after 50.0%"),
}  # fmt: skip


@pytest.mark.parametrize("case", CHECKED)
def test_check_says_what_the_configuration_alone_decides(case: str) -> None:
    changes, sentence = CHECKED[case]
    summary = check(Path("c.yaml"), configuration(*PLAIN, *changes), QUIET)
    (note,) = summary["notes"]
    assert sentence in note


@pytest.mark.parametrize(
    "changes",
    [
        ("schedule={name: cosine, warmup: {steps: 500}}",),  # how many steps only the data tell
        ("eval.every={steps: 80}",),
        ("eval.every=5", "train.steps=75"),
        ("adapt=[{match: layer1.*, from_epoch: 9}]", "train.steps=75"),
        ("schedule={name: step, every: 1}", "train.steps=75"),
        ("schedule={name: exponential, gamma: 0.1, warmup: {steps: 3}}", "train.epochs=400"),
    ],
)
def test_check_does_not_guess(changes: tuple[str, ...]) -> None:
    summary = check(Path("c.yaml"), configuration(*PLAIN, *changes), QUIET)
    assert summary["notes"] == []


def test_the_case_of_a_user(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    if not CASE.exists():
        pytest.skip("the shared cases are not here")
    config = LANGUAGE.load(CASE, ("schedule={name: cosine, warmup: {steps: 500}}",))
    run = begin(config, tmp_path / "run")
    run.console = Console()
    train(run)
    said = capsys.readouterr().out
    assert "note: schedule.warmup is 500 steps and the training" in said
    with pytest.raises(ConfigError, match=r"eval.metric: `acuracy` is not a metric.*`accuracy`"):
        LANGUAGE.load(CASE, ("eval.metric=acuracy",))


def metrics_of_tasks() -> list[tuple[str, set[str]]]:
    names = ("B-a", "I-a", "O")
    tasks: list[tuple[str, Any]] = [
        ("task=classification", ClassificationTask(("a", "b"), None, 0.0, 1)),
        (
            "task={name: classification, multi_label: true}",
            MultiLabelTask(("a", "b"), None, 0.0, 0.5),
        ),
        ("task=regression", RegressionTask(("a", "b"), "mse", 1.0, lambda t: t)),
        ("task=causal-lm", LanguageModelTask(5, 0.0)),
        ("task=token-classification", TaggingTask(names, 0.0)),
    ]
    return [(change, set(task.directions)) for change, task in tasks]


@pytest.mark.parametrize(("change", "names"), metrics_of_tasks())
def test_every_metric_of_a_task_may_select(change: str, names: set[str]) -> None:
    name = change.partition("=")[2]
    multi = {"multi_label": True} if "multi_label" in name else {}
    schema = TASKS["classification" if multi else name](**multi)
    assert {n.partition("/")[0] for n in names} == set(schema.metrics)


def test_nothing_to_train_in_the_first_epoch_is_refused() -> None:
    config = configuration("adapt=[{match: '*', from_epoch: 2}]")
    with pytest.raises(RequestError, match="no parameter is trained before epoch 2"):
        build(config, read_data(config))


def test_a_best_step_of_0_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rate at which nothing is learned; then the same on a base."""
    still = (*PLAIN, "optimizer.lr=1e-30", "train.epochs=1", "model.layers=[{linear: out}]")
    config = configuration(*still)
    run = begin(config, tmp_path / "run")
    run.console = Console()
    summary = train(run)
    assert summary["best"]["step"] == 0
    (note,) = summary["notes"]
    assert note.endswith("that before the first step: the result is the untrained model")
    assert f"note: {note}" in capsys.readouterr().out
    config = configuration(*still, f"base={tmp_path / 'run'}")
    parts = build(config, read_data(config), load_base(tmp_path / "run"))
    summary = train(new_run("finetune", "", tmp_path / "tuned", config, parts, QUIET))
    assert summary["notes"][-1].endswith("the result is the base as it was")


def test_a_sweep_says_it_of_its_best_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    still = (*PLAIN, "optimizer.lr=1e-30", "train.epochs=1", "model.layers=[{linear: out}]")
    config = configuration(*still, "sweep={scientific: {optimizer.lr: [1e-30, 1e-31]}}")
    sweep(Request(config, "c", tmp_path / "sweep", Console()))
    assert "note: trial 0: no evaluation was better than that before" in capsys.readouterr().out


def test_a_training_that_learns_has_no_note(tmp_path: Path) -> None:
    assert undisturbed(configuration(*PLAIN), tmp_path / "run")["notes"] == []


def test_min_delta_delivers_the_best_that_was_seen(tmp_path: Path) -> None:
    """Version 0.1 delivered the untrained model with min_delta 0.5, where no gain is as large."""
    changes = ("train.early_stop={patience: 50, min_delta: 0.5}", "optimizer.lr=0.6")
    summary = undisturbed(configuration(*changes), tmp_path / "run")
    lines = [m for m in read_metrics(tmp_path / "run/metrics.jsonl") if m["split"] == "val"]
    best = min(lines, key=lambda line: line["loss"])
    assert (summary["best"]["step"], summary["best"]["value"]) == (best["step"], best["loss"])
    assert summary["metrics"]["val"]["loss"] == pytest.approx(best["loss"], rel=1e-6)


def test_min_delta_ends_a_training_that_improves_too_little(tmp_path: Path) -> None:
    """Every evaluation is a new best here, and none is better by 0.5 than the first."""
    ends = {}
    for min_delta in (0.0, 0.5):
        changes = (*PLAIN, "eval.every={steps: 1}", "eval.metric=loss")
        early = f"train.early_stop={{patience: 3, min_delta: {min_delta}}}"
        config = configuration(*changes, early, "model.layers=[{linear: out}]", "optimizer.lr=1e-4")
        summary = undisturbed(config, tmp_path / str(min_delta))
        ends[min_delta] = (summary["steps"], summary["best"]["step"])
    assert ends == {0.0: (24, 24), 0.5: (3, 3)}
