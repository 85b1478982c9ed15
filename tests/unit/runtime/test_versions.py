"""What is written about the software; never a failure."""

from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path

import pytest
import torch
from support.apart import apart

from ftune.runtime.versions import ftune_version, git_state, versions


def git(*words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *identity, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_versions_are_json_and_true() -> None:
    found = json.loads(json.dumps(versions()))
    assert found["python"] == platform.python_version()
    assert found["torch"] == torch.__version__
    assert found["ftune"] == ftune_version() != "unknown"
    assert found["numpy"]


def test_git_tells_commit_and_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    def look() -> None:
        assert git_state() is None
        git("init")
        git("commit", "--allow-empty", "-m", "first")
        assert git_state() == {"commit": git("rev-parse", "HEAD"), "dirty": False}
        (tmp_path / "new").write_text("x")
        assert git_state() == {"commit": git("rev-parse", "HEAD"), "dirty": True}

    apart(look, tmp_path)


def test_without_git_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_state() is None
    assert versions()["git"] is None
