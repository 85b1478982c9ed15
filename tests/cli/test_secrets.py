"""Secrets on the real command line; the full count of S4 is in tests/prove."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.secrets_planted import ENVIRONMENT, SECRETS, Session, a_few_commands, found_in, planted

from ftune.config.tree import parse, read_text
from ftune.security import redact


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart: None) -> Session:  # noqa: ARG001
    return planted(tmp_path, monkeypatch)


def test_nothing_written_holds_a_secret(session: Session) -> None:
    a_few_commands(session)
    assert found_in(session) == []


@pytest.mark.parametrize("guard", ["hide_forms", "_known", "is_secret_key"])
def test_without_a_guard_it_would(
    guard: str, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = {"hide_forms": lambda text: text, "_known": lambda *_: (),
               "is_secret_key": lambda *_: False}  # fmt: skip
    monkeypatch.setattr(redact, guard, nothing[guard])
    a_few_commands(session)
    assert found_in(session)


def test_the_kept_configuration_reads_the_environment_again(session: Session) -> None:
    """Another value of the variable reaches the model's maker; unset, it is named."""
    config = str(session.own / "c.yaml")
    session.call("optimize", config, "--out", session.path("a"))
    kept = parse(read_text(session.place / "a" / "config.yaml"), "kept").plain()
    assert kept["data"]["pin"] == "${oc.env:VAULT_CODE}"
    assert kept["data"]["folder"] == "${oc.env:FOLDER_OF_ROWS}/today"
    session.call("optimize", session.path("a/config.yaml"), "--out", session.path("b"))
    read = (session.place / "a" / "metrics.jsonl").read_text().count("\n")
    assert (session.place / "b" / "metrics.jsonl").read_text().count("\n") == read
    said = next(text for name, text in session.said.items() if "optimize" in name)
    assert "note: data.password: a secret, so it is not kept" in said


def test_a_prediction_needs_no_variable_of_the_training(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.call("optimize", str(session.own / "c.yaml"), "--out", session.path("a"))
    for name in ENVIRONMENT:
        monkeypatch.delenv(name)
    session.call("predict", session.path("a"), "--input", str(session.own / "new.csv"),
                 "--output", session.path("p.csv"))  # fmt: skip
    session.call("optimize", session.path("a/config.yaml"), code=2)
    assert "the environment has no VAULT_CODE" in list(session.said.values())[-1]


def test_a_traceback_that_was_asked_for(session: Session) -> None:
    """FTUNE_TRACEBACK=1 shows the lines of code, not the values."""
    words = ["optimize", "c.yaml", "--code", "code.py", "data.fail=true"]
    run = subprocess.run(
        [sys.executable, "-m", "ftune.cli", *words], cwd=session.own, capture_output=True,
        text=True, env={**os.environ, "FTUNE_TRACEBACK": "1"},
    )  # fmt: skip
    assert run.returncode == 1 and "Traceback" in run.stderr and "OSError: refused" in run.stderr
    assert not [name for name, secret in SECRETS.items() if secret in run.stdout + run.stderr]


def test_the_option_parser_repeats_no_secret(tmp_path: Path) -> None:
    """What is typed in a wrong place comes back in its message."""
    words = ["runs", "a", f"https://ann:{SECRETS['password in a URL']}@h", SECRETS["cloud key"]]
    run = subprocess.run(
        [sys.executable, "-m", "ftune.cli", *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 2 and "(https://***@h ***)" in run.stderr
