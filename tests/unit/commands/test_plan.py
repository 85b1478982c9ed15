"""`ftune plan` prints and returns what a training needs, and leaves everything as it was."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from support.process_state import changes, state
from support.trainings import EVERYTHING, configuration
from typer.testing import CliRunner

from ftune.cli import app
from ftune.commands.plan import plan
from ftune.console import Console
from ftune.plan import time as plan_time


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_time, "SECONDS", 0.05)


def test_it_leaves_process_and_folder_as_they_were(
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = set(Path().iterdir())
    torch.manual_seed(5)
    before, numbers = state(), (torch.get_rng_state(), random.getstate())
    summary = plan(configuration(), None, Console())
    assert changes(before, state()) == []
    assert torch.equal(torch.get_rng_state(), numbers[0])
    assert random.getstate() == numbers[1]
    assert set(Path().iterdir()) == files
    out = capsys.readouterr().out
    for words in ("peak of a step", "what counts in the loss", "what a setting changes", "time: "):
        assert words in out
    assert max(map(len, out.splitlines())) <= 100
    assert summary["memory"]["peak"] >= summary["memory"]["step"] > 0
    assert summary["steps"] == 24
    assert [o["change"] for o in summary["options"]] == [
        "train.precision=bf16", "train.batch_size=4 train.accumulate=4",
    ]  # fmt: skip


def test_on_the_command_line_with_json_and_minutes(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    train: dict[str, Any] = {**EVERYTHING["train"], "minutes": 0.2}
    optimizer = {"name": "adamw", "lr": "auto"}
    file.write_text(json.dumps({**EVERYTHING, "train": train, "optimizer": optimizer}))
    words = ["plan", str(file), "runtime.price=3600", "--json", "--quiet"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout.splitlines()[-1])
    assert summary["cost"] == pytest.approx(summary["time"]["seconds"], rel=1e-3)
    assert summary["steps"] > 1
    assert any("time of its search" in note for note in summary["notes"])
