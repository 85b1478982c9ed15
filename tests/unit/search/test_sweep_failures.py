"""A trial that fails, for whatever reason, ends itself only; the reason is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from support.sweeps import GRID, run_sweep
from support.trainings import QUIET

from ftune.commands.sweep import continue_sweep
from ftune.errors import (
    DivergedError,
    FtuneError,
    InterruptedRunError,
    RequestError,
    RunFailedError,
)
from ftune.runs.folder import RunFolder
from ftune.search import launch
from ftune.search.failures import failure_pattern
from ftune.training.train import train

SECRET = "hf_" + "aB3dE6gH9jK2mN5pQ8sT1vW4"


def failing(when: Callable[[int], bool], error: Callable[[int], Exception]) -> Callable[..., Any]:
    count = 0

    def work(run: Any) -> Any:
        nonlocal count
        count += 1
        if when(count):
            raise error(count)
        return train(run)

    return work


@pytest.mark.parametrize(
    "error",
    [
        RequestError("my.py:3: ValueError: no"),
        RunFailedError("the disk is full"),
        DivergedError("step 3: the loss is nan"),
        RuntimeError("shapes do not fit"),
        ZeroDivisionError("division by zero"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_one_failure_ends_one_trial(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "train", failing(lambda n: n == 2, lambda _: error))
    out = tmp_path / "s"
    summary = run_sweep(out, GRID)
    assert [t["status"] for t in summary["trials"]] == ["done", "failed", *["done"] * 4]
    reason = summary["trials"][1]["reason"]
    assert str(error) in reason
    if not isinstance(error, FtuneError):
        assert reason.startswith(type(error).__name__) and "test_sweep_failures.py:" in reason
    facts = RunFolder(out / "trials" / "0001").facts()
    assert (facts["status"], facts["reason"]) == ("failed", reason)
    assert summary["status"] == "done"


@pytest.mark.parametrize(
    "reason",
    [
        lambda n: f"step {n}: the loss is {['nan', 'inf'][n % 2]} (rows {list(range(n))})",
        lambda n: f"cannot write runs/s/trials/{n:04d}/checkpoints: {n * 1000:,} bytes are free",
        lambda n: f"value {-1.5e30 * n:g} of layer1.weight",
    ],
)
def test_five_that_differ_only_in_numbers_end_the_sweep(
    reason: Callable[[int], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = failing(lambda _: True, lambda n: RunFailedError(reason(n)))
    monkeypatch.setattr(launch, "train", work)
    out = tmp_path / "s"
    with pytest.raises(RunFailedError, match="5 trials in a row failed alike") as caught:
        run_sweep(out, GRID)
    assert caught.value.exit_code == 1
    facts, summary = RunFolder(out).facts(), RunFolder(out).summary_json()
    assert facts["status"] == summary["status"] == "failed"
    assert reason(5) in facts["reason"] and facts["reason"] == summary["reason"]
    assert [t["reason"] for t in summary["trials"]] == [reason(n) for n in range(1, 6)]


def test_reasons_that_name_other_things_are_not_alike() -> None:
    reasons = [
        "step 3: the loss is nan",
        "step 3: the gradient of layer1.weight is nan",
        "step 3: the gradient of layer2.weight is nan",
        "my.py:3: ValueError: no",
        "train.batch_size 4096 is more than the 96 rows",
    ]
    assert len({failure_pattern(reason) for reason in reasons}) == len(reasons)


def test_when_all_fail_the_reason_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = failing(lambda _: True, lambda n: RuntimeError("abcdefgh"[n]))
    monkeypatch.setattr(launch, "train", work)
    with pytest.raises(RunFailedError, match="all trials failed, the first because RuntimeError"):
        run_sweep(tmp_path / "s", GRID)
    assert "RuntimeError: b" in RunFolder(tmp_path / "s").facts()["reason"]
    assert "RuntimeError: b" in RunFolder(tmp_path / "s").summary_json()["reason"]


def test_a_signal_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = failing(lambda n: n == 2, lambda _: InterruptedRunError(2, "x"))
    monkeypatch.setattr(launch, "train", work)
    with pytest.raises(InterruptedRunError):
        run_sweep(tmp_path / "s", GRID)
    assert RunFolder(tmp_path / "s").facts()["status"] == "interrupted"


def test_what_cannot_be_continued_exactly_ends_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no fault of the trial, and must not be passed over."""
    work = failing(lambda n: n == 2, lambda _: InterruptedRunError(2, "x"))
    monkeypatch.setattr(launch, "train", work)
    with pytest.raises(InterruptedRunError):
        run_sweep(tmp_path / "s", GRID)

    def refuse(*_: Any) -> None:
        raise RequestError("cannot continue exactly: the data has changed")

    monkeypatch.setattr(launch, "reopen", refuse)
    with pytest.raises(RequestError, match="the data has changed"):
        continue_sweep(RunFolder(tmp_path / "s"), QUIET)
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{tmp_path}/s/study.db")
    assert [t.state.is_finished() for t in study.trials] == [True, False]


def test_a_reason_is_kept_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = failing(lambda n: n == 1, lambda _: ValueError(f"refused {SECRET}"))
    monkeypatch.setattr(launch, "train", work)
    out = tmp_path / "s"
    run_sweep(out, GRID)
    kept = [file.read_bytes() for file in out.rglob("*") if file.is_file()]
    assert not any(SECRET.encode() in content for content in kept)
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{out}/study.db")
    assert "refused ***" in study.trials[0].user_attrs["reason"]


def test_secrets_as_values_of_a_sweep_are_refused(tmp_path: Path) -> None:
    block = {"sweep": {"scientific": {"adapt.0.match": ["layer1.*", SECRET]}}}
    with pytest.raises(RequestError, match="a secret is among the values"):
        run_sweep(tmp_path / "s", block)
    assert not (tmp_path / "s").exists()
