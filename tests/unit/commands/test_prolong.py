"""More of a training: a new run that goes on from the old one, which stays as it is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.trainings import QUIET, assert_same, begin, configuration, trace, undisturbed

from ftune.commands.rerun import rerun
from ftune.commands.resume import begun, resume
from ftune.console import Console
from ftune.errors import ConfigError, RequestError
from ftune.runs.folder import RunFolder, read_metrics
from ftune.training.train import train

PLAIN = ("schedule=constant", "train.log_every=1")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def longer(run: Path, out: Path, *changes: str, console: Console = QUIET) -> dict[str, Any]:
    return resume(RunFolder.open(run), False, console, changes, out)


@pytest.mark.parametrize("change", ["train.epochs=8", "train.steps=48"])
def test_with_a_constant_rate_it_is_the_longer_training_bit_by_bit(
    change: str, tmp_path: Path
) -> None:
    undisturbed(configuration(*PLAIN), tmp_path / "short")
    before = contents(tmp_path / "short")
    undisturbed(configuration(*PLAIN, change), tmp_path / "whole")
    summary = longer(tmp_path / "short", tmp_path / "long", change)
    assert summary["steps"] == 48 and summary["parent"] == str(tmp_path / "short")
    assert_same(trace(tmp_path / "whole"), trace(tmp_path / "long"))
    assert contents(tmp_path / "short") == before
    facts = RunFolder(tmp_path / "long").facts()
    assert (facts["parent_step"], facts["status"]) == (24, "done")
    steps = [line["step"] for line in read_metrics(tmp_path / "long" / "metrics.jsonl")]
    assert steps == sorted(steps) and (steps[0], steps[-1]) == (0, 48)


def test_epochs_replace_steps_that_the_file_states(tmp_path: Path) -> None:
    undisturbed(configuration(*PLAIN, "train.steps=12"), tmp_path / "short")
    assert longer(tmp_path / "short", tmp_path / "long", "train.epochs=4")["steps"] == 24


def test_the_schedule_is_laid_over_the_new_length_and_the_jump_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cosine = ("schedule={name: cosine, warmup: 0}", "optimizer.lr=0.02", "train.log_every=1")
    undisturbed(configuration(*cosine), tmp_path / "short")
    undisturbed(configuration(*cosine, "train.epochs=8"), tmp_path / "whole")
    longer(tmp_path / "short", tmp_path / "long", "train.epochs=8", console=Console())
    rates = [
        {x["step"]: x["lr"] for x in read_metrics(tmp_path / run / "metrics.jsonl") if "lr" in x}
        for run in ("short", "long", "whole")
    ]
    assert all(rates[1][step] == rates[0][step] for step in range(1, 25))
    assert all(rates[1][step] == rates[2][step] for step in range(25, 49))
    said = capsys.readouterr().out
    assert f"was {rates[0][24]:.3g} in the last step and is {rates[2][25]:.3g}" in said
    assert "from step 24 to 48 instead of 24" in said


def test_an_interrupted_one_and_its_continuation(tmp_path: Path) -> None:
    train(begin(configuration(*PLAIN), tmp_path / "short", pause_at=9))
    undisturbed(configuration(*PLAIN, "train.epochs=8"), tmp_path / "whole")
    longer(tmp_path / "short", tmp_path / "long", "train.epochs=8")
    assert_same(trace(tmp_path / "whole"), trace(tmp_path / "long"))
    assert resume(RunFolder.open(tmp_path / "long"), False, QUIET)["status"] == "done"


def test_a_patience_that_is_used_up_must_be_changed_too(tmp_path: Path) -> None:
    early = ("train.early_stop={patience: 1, min_delta: 5}", "train.epochs=50")
    summary = undisturbed(configuration(*PLAIN, *early), tmp_path / "short")
    assert summary["steps"] < 300
    with pytest.raises(RequestError, match=r"give train\.early_stop too"):
        longer(tmp_path / "short", tmp_path / "long", "train.epochs=60")
    changes = ("train.epochs=51", "train.early_stop=null")
    assert longer(tmp_path / "short", tmp_path / "long", *changes)["steps"] == 306


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("optimizer.lr=1", "`optimizer.lr=1`: only train.epochs, train.steps"),
        ("train.batch_size=4", "only train.epochs"),
        ("train.epochs=4", "is at step 24 already"),
        ("train.epochs=1", "this length is 6 steps; give more"),
    ],
)
def test_what_is_no_longer_training_is_refused(
    change: str, message: str, tmp_path: Path, short: Path
) -> None:
    with pytest.raises(RequestError, match=message):
        longer(short, tmp_path / "long", change)
    assert not (tmp_path / "long").exists()


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prolong") / "short"
    undisturbed(configuration(*PLAIN), out)
    return out


def test_a_run_that_was_begun_but_not_taken_over_is_no_new_training(
    tmp_path: Path, short: Path
) -> None:
    longer(short, tmp_path / "long", "train.epochs=8")
    folder = RunFolder.open(tmp_path / "long")
    with pytest.raises(RequestError, match=r"goes on from step 24 of .*short; run that one again"):
        rerun(folder, tmp_path / "again", QUIET)
    shutil.rmtree(folder.checkpoints)
    folder.describe(status="interrupted", begun=False)
    with pytest.raises(RequestError, match="before it had taken over"):
        resume(folder, False, QUIET)
    with pytest.raises(RequestError, match="--out is for a longer training"):
        resume(RunFolder.open(short), False, QUIET, (), tmp_path / "x")


def test_a_misspelt_setting_is_answered_with_the_nearest(tmp_path: Path) -> None:
    undisturbed(configuration(*PLAIN, "train.steps=2"), tmp_path / "run")
    with pytest.raises(ConfigError, match="did you mean `epochs`"):
        longer(tmp_path / "run", tmp_path / "long", "train.epoch=8")
    with pytest.raises(RequestError, match=r"ftune finetune --base .* optimizer.lr=3"):  # is one
        longer(tmp_path / "run", tmp_path / "long", "optimizer.lr=3")


def test_resume_auto_names_the_way_to_another_length(tmp_path: Path) -> None:
    undisturbed(configuration(*PLAIN, "train.epochs=1"), tmp_path / "run")
    with pytest.raises(RequestError, match=r"`ftune resume .*run train.epochs=2` goes on"):
        begun("auto", tmp_path / "run", configuration(*PLAIN, "train.epochs=2"))
    with pytest.raises(RequestError, match="write the former values again"):
        changed = configuration(*PLAIN, "train.epochs=2", "optimizer.lr=3")
        begun("auto", tmp_path / "run", changed)
    same = configuration(*PLAIN, "train.epochs=1")
    assert begun("auto", tmp_path / "run", same) is not None
