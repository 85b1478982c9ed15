"""A study on a disk that is full."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from ftune.errors import RunFailedError
from ftune.search.space import Choices
from ftune.search.study import Study


@pytest.mark.parametrize("call", ["ask", "report", "finish"])
def test_what_cannot_be_written_is_said(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(tmp_path / "study.db", {"a": Choices((1, 2))}, "qmc", 0, "max")
    trial = study.ask()

    def full(*_: Any, **__: Any) -> None:
        raise optuna.exceptions.StorageInternalError("database or disk is full")

    monkeypatch.setattr(study._study, "ask", full)
    monkeypatch.setattr(study._study, "tell", full)
    monkeypatch.setattr(optuna.trial.Trial, "report", full)
    calls: dict[str, Callable[[], Any]] = {
        "ask": study.ask,
        "report": lambda: study.report(trial, 0, 1.0),
        "finish": lambda: study.finish(trial, 1.0, "done"),
    }
    with pytest.raises(RunFailedError, match=r"cannot write .*study\.db; [\d,]+ bytes are free"):
        calls[call]()
    assert [one.status for one in study.trials()] == ["open"]
