"""`ftune export` as it is typed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from ftune.cli import app


def typed(*words: object) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, words)])


def test_a_summary_and_what_is_refused(table: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / "m.pt"
    done = typed(table, "--format", "pt", "--out", path, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["command"], said["format"], said["difference"]) == ("export", "pt", 0.0)
    before = path.read_bytes()
    again = typed(table, "--format", "pt", "--out", path)
    assert again.exit_code == 2
    assert "exists already; choose another --out, or --overwrite" in again.stderr
    assert path.read_bytes() == before
    assert typed(table, "--format", "pt", "--out", path, "--overwrite", "--apart").exit_code == 0
    other = typed(table, "--format", "onnx", "--out", tmp_path / "m.onnx", "--apart")
    assert (other.exit_code, "not with onnx" in other.stderr) == (2, True)


def test_a_missing_extra_is_said_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    found = typed(tmp_path / "no run at all", "--format", "onnx", "--out", tmp_path / "m.onnx")
    assert found.exit_code == 2
    assert "pip install 'ftune[onnx]'" in found.stderr


def test_a_proof_that_fails_ends_with_1(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftune.exports import verify

    monkeypatch.setattr(verify, "outputs", lambda model, batch: torch.zeros(1))  # noqa: ARG005
    found = typed(table, "--format", "pt", "--out", tmp_path / "m.pt")
    assert (found.exit_code, "is not kept" in found.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []
