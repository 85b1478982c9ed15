"""Resumes that cannot be exact are named before the first step (promise R3)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.inexact import EXACT, INEXACT, complained, named


@pytest.mark.parametrize("name", INEXACT)
def test_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert named(name, tmp_path, monkeypatch) == ""


@pytest.mark.parametrize("name", EXACT)
def test_not_complained_of(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert complained(name, tmp_path, monkeypatch) == ""


def test_control_a_resume_that_compares_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftune.training.reopen.differences", lambda *_: [])
    assert named("learning rate", tmp_path, monkeypatch) == "continued without a word"
