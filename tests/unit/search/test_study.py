"""The record of a sweep: durable, never repeating, and plain Optuna underneath."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from ftune.engine.selection import Selection
from ftune.search.space import Choices, Range, grid_points
from ftune.search.study import Study, Trial, ranked

GRID: dict[str, Any] = {"a": Choices((1, 2, 3)), "b": Choices(("x", {"name": "y"}, [1, 2]))}
WIDE: dict[str, Any] = {
    "lr": Range(1e-4, 0.1, log=True),
    "n": Range(1, 64),
    "o": Choices(("p", "q")),
}


def opened(path: Path, space: dict[str, Any] = GRID, sampler: str = "grid", n: int = 9) -> Study:
    points = grid_points(space, n, 0) if sampler == "grid" else ()
    return Study(path / "study.db", space, sampler, 0, "max", points)


def asked(study: Study, count: int) -> list[dict[str, Any]]:
    found = []
    for _ in range(count):
        trial = study.ask()
        study.finish(trial, 0.5, "done")
        found.append(dict(trial.params))
    return found


def test_ask_and_tell(tmp_path: Path) -> None:
    study = opened(tmp_path)
    first = study.ask()
    assert first.params == {"a": 1, "b": "x"} and first.status == "open"
    study.report(first, 0, 0.25)
    study.report(first, 1, 0.75)
    study.finish(first, 0.75, "done")
    second, third = study.ask(), study.ask()
    assert second.params == {"a": 1, "b": {"name": "y"}}
    study.report(second, 0, 0.5)
    study.finish(second, None, "pruned")
    study.finish(third, None, "failed", "it burst")
    again = opened(tmp_path).trials()
    assert [t.status for t in again] == ["done", "pruned", "failed"]
    assert [t.value for t in again] == [0.75, 0.5, None]
    assert again[0].rungs == {0: 0.25, 1: 0.75}
    assert again[2].reason == "it burst"


def test_resumed_grid_repeats_nothing(tmp_path: Path) -> None:
    found = asked(opened(tmp_path), 4) + asked(opened(tmp_path), 3) + asked(opened(tmp_path), 2)
    assert found == grid_points(GRID, 9, 0)


@pytest.mark.parametrize("sampler", ["qmc", "tpe"])
def test_resumed_sampler_does_not_draw_again(sampler: str, tmp_path: Path) -> None:
    """Resumed twice after few trials: the start-up draws would otherwise come again."""
    found = [p for _ in range(4) for p in asked(opened(tmp_path, WIDE, sampler), 3)]
    assert len({tuple(p.values()) for p in found}) == 12


def test_quasi_random_numbers_go_on_where_they_were(tmp_path: Path) -> None:
    """Numbers of an interrupted sweep are those of an undisturbed one (after the first, random)."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = asked(opened(tmp_path / "whole", WIDE, "qmc"), 8)
    parts = asked(opened(tmp_path / "parts", WIDE, "qmc"), 3)
    parts += asked(opened(tmp_path / "parts", WIDE, "qmc"), 5)
    assert [p["lr"] for p in whole] == [p["lr"] for p in parts]


def test_killed_between_enqueue_and_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = opened(tmp_path)
    asked(study, 2)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(study._study, "ask", die)
    with pytest.raises(KeyboardInterrupt):
        study.ask()
    again = opened(tmp_path)
    assert len(again.trials()) == 2, "a waiting trial is none yet"
    assert asked(again, 7) == grid_points(GRID, 9, 0)[2:]


@pytest.mark.parametrize("sampler", ["grid", "qmc", "tpe"])
def test_killed_while_a_trial_is_placed(
    sampler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optuna writes axis by axis; a trial with half of its settings must not be trained so."""
    space = GRID if sampler == "grid" else WIDE
    study = opened(tmp_path, space, sampler)
    asked(study, 2)
    suggest, count = optuna.trial.Trial._suggest, 0

    def die_second(self: Any, name: str, distribution: Any) -> Any:
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        return suggest(self, name, distribution)

    with monkeypatch.context() as patch:
        patch.setattr(optuna.trial.Trial, "_suggest", die_second)
        with pytest.raises(KeyboardInterrupt):
            study.ask()
    raw = optuna.load_study(study_name="sweep", storage=f"sqlite:///{tmp_path}/study.db").trials[2]
    assert raw.state == TrialState.RUNNING and len(raw.params) == 1, "the case is the one meant"
    found = opened(tmp_path, space, sampler).trials()[2]
    assert found.status == "open" and set(found.params) == set(space)
    if sampler == "grid":
        assert found.params == grid_points(GRID, 9, 0)[2]


def test_plain_optuna_opens_it(tmp_path: Path) -> None:
    asked(opened(tmp_path), 3)
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{tmp_path}/study.db")
    assert len(study.trials) == 3 and study.best_value == 0.5
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.trials[0].params == {"a": 1, "b": "x"}


def test_ranked() -> None:
    trials = [
        Trial(0, {}, "done", 0.1, {}), Trial(1, {}, "done", 0.9, {}),
        Trial(2, {}, "failed", None, {}),
        Trial(3, {}, "pruned", 2.0, {}), Trial(4, {}, "done", 0.0, {}),
    ]  # fmt: skip
    assert [t.number for t in ranked(trials, Selection("m", "max"))] == [1, 0, 4]
    assert [t.number for t in ranked(trials, Selection("m", "min"))] == [4, 0, 1]
