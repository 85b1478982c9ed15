"""Whole sweeps over tiny trainings."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import optuna
import pytest
from support.killed import check_sweep, cut_off, forgets_the_open, kill_sweep
from support.sweeps import GRID, HALVING, PLAIN, run_sweep
from support.trainings import QUIET, assert_same, configuration, trace, undisturbed

import ftune
from ftune.commands import sweep as command
from ftune.commands.request import Request
from ftune.errors import RunFailedError
from ftune.runs.folder import RunFolder, read_metrics
from ftune.schema.root import LANGUAGE
from ftune.search import launch
from ftune.training.train import train

RATES = GRID["sweep"]["scientific"]["optimizer.lr"]


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("grid") / "sweep"
    return out, run_sweep(out, GRID)


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("halving") / "sweep"
    return out, run_sweep(out, HALVING)


def alone(rate: float, out: Path) -> dict[str, Any]:
    return undisturbed(configuration(f"optimizer.lr={rate}", plain=PLAIN), out)


def steps_of(run: Path) -> list[int]:
    return [int(m["step"]) for m in read_metrics(run / "metrics.jsonl") if m["split"] == "train"]


def test_every_place_of_the_grid_once(one_by_one: tuple[Path, dict[str, Any]]) -> None:
    _, summary = one_by_one
    assert [t["params"]["optimizer.lr"] for t in summary["trials"]] == RATES
    assert {t["status"] for t in summary["trials"]} == {"done"}
    values = [t["value"] for t in summary["trials"]]
    assert summary["best"]["value"] == max(values)
    assert summary["verdict"]["by_setting"][0]["trial"] == summary["best_trial"]


def test_best_file_gives_the_trials_number(
    one_by_one: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, summary = one_by_one
    again = ftune.run("optimize", out / "best.yaml", out=tmp_path / "again")
    assert again["best"]["value"] == summary["best"]["value"]
    assert again["metrics"] == summary["metrics"]
    assert LANGUAGE.load(out / "best.yaml").sweep is None


def test_trials_equal_trainings_alone(
    one_by_one: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, _ = one_by_one
    alone(RATES[2], tmp_path / "alone")
    assert_same(trace(tmp_path / "alone"), trace(out / "trials" / "0002"))


def test_survivors_are_resumed_not_restarted(
    halved: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, summary = halved
    statuses = [t["status"] for t in summary["trials"]]
    assert statuses.count("done") >= 1 and statuses.count("pruned") >= 3
    lengths = [len(steps_of(out / "trials" / f"{i:04d}")) for i in range(6)]
    assert sorted(set(lengths)) == [6, 12, 24], lengths
    for number in range(6):
        found = steps_of(out / "trials" / f"{number:04d}")
        assert found == list(range(1, len(found) + 1)), "no step twice, none left out"
    best = summary["best_trial"]
    alone(RATES[best], tmp_path / "alone")
    assert_same(trace(tmp_path / "alone"), trace(out / "trials" / f"{best:04d}"))


def test_halving_keeps_the_better_half(halved: tuple[Path, dict[str, Any]]) -> None:
    out, _ = halved
    trials = optuna.load_study(study_name="sweep", storage=f"sqlite:///{out}/study.db").trials
    first = {t.number: t.intermediate_values[0] for t in trials}
    went_on = {t.number for t in trials if 1 in t.intermediate_values}
    assert len(went_on) == 3
    assert min(first[n] for n in went_on) >= max(v for n, v in first.items() if n not in went_on)


def test_a_trial_that_diverges_is_failed_with_its_reason(tmp_path: Path) -> None:
    block = {"sweep": {"scientific": {"optimizer.lr": [0.01, 1e30]}}}
    plain = PLAIN | {"optimizer": {"name": "sgd", "lr": 0.1}}
    config = LANGUAGE.of(plain | block)
    summary = command.sweep(Request(config, "", tmp_path / "s", QUIET))
    good, bad = summary["trials"]
    assert good["status"] == "done" and bad["status"] == "failed"
    assert "is nan" in bad["reason"] or "is inf" in bad["reason"] or "not finite" in bad["reason"]


def test_a_sweep_without_a_finished_trial_has_failed(tmp_path: Path) -> None:
    block = {"sweep": {"scientific": {"optimizer.lr": [1e29, 1e30]}}}
    config = LANGUAGE.of(PLAIN | {"optimizer": {"name": "sgd", "lr": 0.1}} | block)
    with pytest.raises(RunFailedError, match="all trials failed"):
        command.sweep(Request(config, "", tmp_path / "s", QUIET))
    assert RunFolder(tmp_path / "s").facts()["status"] == "failed"
    assert RunFolder(tmp_path / "s").summary_json()["best_trial"] is None


def test_settings_that_do_not_go_together_fail_alone(tmp_path: Path) -> None:
    """A batch larger than the training split with drop_last: known only when it is built."""
    block = {"sweep": {"scientific": {"train.batch_size": [16, 4096]}}}
    summary = run_sweep(tmp_path / "s", block, "train.drop_last=true")
    assert [t["status"] for t in summary["trials"]] == ["done", "failed"]
    assert "batch_size 4096" in summary["trials"][1]["reason"]


def test_five_alike_end_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def burst(_: Any) -> None:
        raise RunFailedError("it burst")

    monkeypatch.setattr(launch, "train", burst)
    with pytest.raises(RunFailedError, match="5 trials in a row failed alike: it burst"):
        run_sweep(tmp_path / "s", GRID)
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{tmp_path}/s/study.db")
    assert len(study.trials) == 5


def test_different_failures_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0

    def burst(run: Any) -> Any:
        nonlocal count
        count += 1
        if count < 6:
            raise RunFailedError(f"it burst in the {'abcde'[count - 1]} part")
        return train(run)

    monkeypatch.setattr(launch, "train", burst)
    summary = run_sweep(tmp_path / "s", GRID)
    assert [t["status"] for t in summary["trials"]] == ["failed"] * 5 + ["done"]


def test_a_metric_that_is_never_a_number_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ftune.assembly.job.score", lambda *_: {"accuracy": float("nan"), "loss": 1.0}
    )
    with pytest.raises(RunFailedError, match="never a finite number"):
        run_sweep(tmp_path / "s", GRID)


def test_killed_sweep(one_by_one: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    assert kill_sweep(tmp_path / "s", GRID, kills=3, seed=1) >= 2
    check_sweep(tmp_path / "s", one_by_one[0])


def test_killed_halving(halved: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    assert kill_sweep(tmp_path / "s", HALVING, kills=3, seed=2) >= 2
    check_sweep(tmp_path / "s", halved[0])


def test_finished_trials_are_not_touched(one_by_one: tuple[Path, dict[str, Any]]) -> None:
    """Going on with a finished study trains nothing and says the same."""
    out, summary = one_by_one
    before = {p: p.stat().st_mtime_ns for p in out.glob("trials/*/metrics.jsonl")}
    again = command.continue_sweep(RunFolder(out), QUIET)
    assert again["trials"] == summary["trials"]
    assert {p: p.stat().st_mtime_ns for p in out.glob("trials/*/metrics.jsonl")} == before
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_control_a_sweep_that_forgets_where_it_was(tmp_path: Path) -> None:
    run_sweep(tmp_path / "whole", GRID)
    cut_off(tmp_path / "s", GRID, forgets_the_open)
    with pytest.raises(AssertionError):
        check_sweep(tmp_path / "s", tmp_path / "whole")
