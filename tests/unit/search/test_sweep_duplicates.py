"""A sweep never trains the same settings twice, whatever leads to them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from support.killed import check_sweep, kill_sweep
from support.sweeps import PLAIN, run_sweep
from support.trainings import QUIET, configuration

from ftune.commands import sweep as command
from ftune.commands.request import Request
from ftune.console import Console
from ftune.errors import RequestError, RunFailedError
from ftune.runs.folder import RunFolder
from ftune.search import launch, trial_index
from ftune.search.duplicates import configuration_key
from ftune.search.lr_find import resolve_auto_lr
from ftune.search.space import configured, grid_points, parse_space
from ftune.training.train import train

SHORT = {"train": {"epochs": 1, "batch_size": 16, "checkpoint_every": {"steps": 2}}}
RATES = {"sweep": {"scientific": {"optimizer.lr": [0.01, 0.3, 0.01, 0.1]}}}
HALVED = {"sweep": {"scientific": {"optimizer.lr": [0.1, 0.1, 0.01, 0.001, 0.001, 1.0]},
                    "halving": {"rungs": 3, "factor": 2}}}  # fmt: skip
BLOCKS = {"sweep": {"scientific": {"optimizer": [
    {"name": "adamw", "lr": 0.01}, {"name": "sgd", "lr": 0.1, "momentum": 0.9}, "sgd",
    {"name": "sgd", "lr": 0.1, "momentum": 0.0}]}}}  # fmt: skip


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders of the trainings that were made, one name a training."""
    names: list[str] = []

    def counted(run: Any) -> Any:
        names.append(run.folder.path.name)
        return train(run)

    monkeypatch.setattr(launch, "train", counted)
    return names


def short(out: Path, block: dict[str, Any], *changes: str) -> dict[str, Any]:
    return run_sweep(out, SHORT | block, *changes)


def study_of(out: Path) -> optuna.Study:
    return optuna.load_study(study_name="sweep", storage=f"sqlite:///{out}/study.db")


def test_a_value_written_twice(tmp_path: Path, trained: list[str]) -> None:
    summary = short(tmp_path / "s", RATES)
    assert trained == ["0000", "0001", "0003"]
    assert [t.get("same_as") for t in summary["trials"]] == [None, None, 0, None]
    assert summary["trials"][2]["value"] == summary["trials"][0]["value"]
    assert summary["trained"] == 3
    assert summary["notes"] == [
        "trial 2 has the settings of trial 0 and takes over its result; nothing was trained again"
    ]
    rows = {row["setting"]: row["trials"] for row in summary["verdict"]["by_setting"]}
    assert rows == {"optimizer.lr=0.01": 1, "optimizer.lr=0.3": 1, "optimizer.lr=0.1": 1}
    assert not (tmp_path / "s" / "trials" / "0002").exists()


def test_the_study_has_the_value_and_says_where_it_is_from(tmp_path: Path) -> None:
    short(tmp_path / "s", RATES)
    trials = study_of(tmp_path / "s").trials
    assert all(t.state == optuna.trial.TrialState.COMPLETE for t in trials)
    assert trials[2].value == trials[0].value
    assert [t.user_attrs.get("same_as") for t in trials] == [None, None, 0, None]


def test_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configuration(plain=PLAIN | SHORT | RATES)
    command.sweep(Request(config, "", tmp_path / "s", Console()))
    printed = capsys.readouterr().out
    assert "(as trial 0) optimizer.lr=0.01" in printed
    assert "as trial 0" in printed.split("best trials")[1]
    assert "4 trials (4 done; 3 trained)" in printed
    assert "note: trial 2 has the settings of trial 0" in printed


def test_nothing_is_said_where_all_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(plain=PLAIN | SHORT | {"sweep": {"scientific": {"seed": [0, 1]}}})
    summary = command.sweep(Request(config, "", tmp_path / "s", Console()))
    assert summary["notes"] == [] and "trained" not in capsys.readouterr().out.split("best")[1]


def test_against_the_grid_enumerated(tmp_path: Path, trained: list[str]) -> None:
    """As many trainings as there are different rows of (rate, steps that are made, seed)."""
    axes: dict[str, list[Any]] = {
        "optimizer.lr": [1, 1.0],
        "train.epochs": [1, 2],
        "train.steps": [None, 6],
        "seed": [3, 3],
    }
    short(tmp_path / "s", {"sweep": {"nuisance": axes}})
    rows = {
        (float(rate), steps or epochs * 6, seed)
        for rate, epochs, steps, seed in itertools.product(*axes.values())
    }
    assert len(trained) == len(rows) == 2
    assert len(study_of(tmp_path / "s").trials) == 16


def test_blocks_are_told_apart_by_their_settings(tmp_path: Path, trained: list[str]) -> None:
    summary = short(tmp_path / "s", BLOCKS)
    assert trained == ["0000", "0001", "0003"]
    settings = {row["setting"]: row["trial"] for row in summary["verdict"]["by_setting"]}
    assert settings == {
        "optimizer=adamw": 0,
        "optimizer=sgd(lr=0.1, momentum=0.9)": 1,
        "optimizer=sgd": 1,
        "optimizer=sgd(lr=0.1, momentum=0.0)": 3,
    }


def test_blocks_that_differ_in_what_another_axis_sets(tmp_path: Path, trained: list[str]) -> None:
    """A setting by itself wins over the one in a block."""
    axes = {"scientific": {"optimizer": [{"name": "sgd", "lr": 0.3}, {"name": "sgd", "lr": 0.4}]},
            "nuisance": {"optimizer.lr": [0.1]}}  # fmt: skip
    short(tmp_path / "s", {"sweep": axes})
    assert trained == ["0000"]


@pytest.mark.parametrize("sampler", ["tpe", "qmc"])
def test_few_places_drawn_often(sampler: str, tmp_path: Path, trained: list[str]) -> None:
    axes = {"optimizer.lr": {"low": 0.1, "high": 0.3, "step": 0.1}}
    block = {"sweep": {"nuisance": axes, "trials": 9, "sampler": sampler}}
    summary = short(tmp_path / "s", block)
    trials = study_of(tmp_path / "s").trials
    assert len(trials) == 9
    assert len(trained) == len({t.params["optimizer.lr"] for t in trials}) <= 3
    values = {(t["params"]["optimizer.lr"], t["value"]) for t in summary["trials"]}
    assert len(values) == len(trained), "one value for each setting"


def test_known_only_when_built(tmp_path: Path, trained: list[str]) -> None:
    summary = short(tmp_path / "s", {"sweep": {"scientific": {"train.batch_size": [96, 200, 48]}}})
    assert trained == ["0000", "0002"]
    assert [t.get("same_as") for t in summary["trials"]] == [None, 0, None]


def test_a_failure_is_not_repeated_and_counts_once(tmp_path: Path, trained: list[str]) -> None:
    axes = {"optimizer.lr": [1e30] * 6 + [0.01]}
    block = {"sweep": {"scientific": axes}, "optimizer": {"name": "sgd", "lr": 0.1}}
    summary = short(tmp_path / "s", block)
    assert trained == ["0000", "0006"]
    assert [t["status"] for t in summary["trials"]] == ["failed"] * 6 + ["done"]
    assert len({t.get("reason") for t in summary["trials"][:6]}) == 1


def test_five_different_failures_alike_still_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def burst(_: Any) -> None:
        raise RunFailedError("it burst")

    monkeypatch.setattr(launch, "train", burst)
    axes = {"optimizer.lr": [0.1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]}
    with pytest.raises(RunFailedError, match="5 trials in a row"):
        short(tmp_path / "s", {"sweep": {"scientific": axes}})
    assert len(study_of(tmp_path / "s").trials) == 6


def test_halving_counts_a_training_once(tmp_path: Path) -> None:
    """Four trainings, of which two and then one go on, as in the sweep without the copies."""
    summary = run_sweep(tmp_path / "s", HALVED)
    alone = {"sweep": {**HALVED["sweep"], "scientific": {"optimizer.lr": [0.1, 0.01, 0.001, 1.0]}}}
    expected = run_sweep(tmp_path / "alone", alone)
    ends = {t["params"]["optimizer.lr"]: (t["status"], t["value"]) for t in summary["trials"]}
    assert ends == {
        t["params"]["optimizer.lr"]: (t["status"], t["value"]) for t in expected["trials"]
    }
    assert [t.get("same_as") for t in summary["trials"]] == [None, 0, None, None, 3, None]
    trials = study_of(tmp_path / "s").trials
    for copy, first in ((1, 0), (4, 3)):
        assert trials[copy].intermediate_values == trials[first].intermediate_values
        assert (trials[copy].state, trials[copy].value) == (
            trials[first].state,
            trials[first].value,
        )
    assert not (tmp_path / "s" / "trials" / "0001").exists()


@pytest.mark.parametrize("block", [SHORT | RATES, HALVED], ids=["one by one", "halving"])
def test_killed_and_resumed(block: dict[str, Any], tmp_path: Path) -> None:
    run_sweep(tmp_path / "whole", block)
    assert kill_sweep(tmp_path / "s", block, kills=2, seed=4) >= 1
    check_sweep(tmp_path / "s", tmp_path / "whole")
    copies = [t.user_attrs.get("same_as") for t in study_of(tmp_path / "s").trials]
    assert copies == [t.user_attrs.get("same_as") for t in study_of(tmp_path / "whole").trials]


def test_a_finished_sweep_gone_on_with_says_the_same(tmp_path: Path) -> None:
    summary = short(tmp_path / "s", RATES)
    again = command.continue_sweep(RunFolder(tmp_path / "s"), QUIET)
    assert again["trials"] == summary["trials"] and again["notes"] == summary["notes"]


def test_the_search_for_a_rate_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches: list[Any] = []

    def counted(*given: Any) -> Any:
        searches.append(given)
        return resolve_auto_lr(*given)

    monkeypatch.setattr(launch, "resolve_auto_lr", counted)
    find = {"lr_find": {"low": 0.01, "high": 0.1, "per_decade": 1, "refine": 3, "max_steps": 2}}
    block = {"sweep": {"scientific": {"optimizer.lr": ["auto", "auto"]}}, **find}
    summary = short(tmp_path / "s", block)
    assert len(searches) == 1 and summary["trials"][1]["same_as"] == 0


def test_a_part_of_a_grid_takes_different_points_first() -> None:
    space = parse_space(configuration(plain=PLAIN | RATES).sweep)  # type: ignore[arg-type]
    for seed in range(20):
        drawn = [point["optimizer.lr"] for point in grid_points(space, 3, seed)]
        assert sorted(drawn) == [0.01, 0.1, 0.3]


def test_a_base_is_no_axis(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="all trials of a sweep start from the same model"):
        run_sweep(tmp_path / "s", {"sweep": {"scientific": {"base": ["a", "b"]}}})


def test_control_compared_by_what_is_written_a_setting_is_trained_twice(
    tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by parameters: what they come to is what is trained."""
    written: Iterator[int] = itertools.count()
    monkeypatch.setattr(trial_index, "configuration_key", lambda _: str(next(written)))
    monkeypatch.setattr(launch, "training_key", lambda *_: str(next(written)))
    short(tmp_path / "s", BLOCKS)
    assert len(trained) == 4
    plain = PLAIN | SHORT | BLOCKS
    keys = [
        configuration_key(configured(plain, {"optimizer": value}))
        for value in BLOCKS["sweep"]["scientific"]["optimizer"]
    ]
    assert len(set(keys)) == 3


def test_settings_of_one_variant_are_shown_the_way(tmp_path: Path) -> None:
    axes = {"scientific": {"optimizer.name": ["adamw", "sgd"]},
            "nuisance": {"optimizer.momentum": [0.0, 0.9]}}  # fmt: skip
    with pytest.raises(RequestError, match=r"goes\s+into\s+its") as caught:
        run_sweep(tmp_path / "s", {"sweep": axes})
    assert "optimizer: [NAME, {name: NAME, momentum: …}]" in " ".join(str(caught.value).split())
