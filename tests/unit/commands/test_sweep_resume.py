"""A sweep whose record is not what ftune wrote is answered, and left as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.trainings import QUIET

from ftune.commands.resume import resume
from ftune.errors import CheckpointError
from ftune.runs.folder import RunFolder

CONFIG = """
data: {source: sklearn, name: iris, split: {val: 0.2}}
task: classification
model: {name: mlp}
sweep: {scientific: {optimizer.lr: [0.1, 0.2]}}
"""


@pytest.mark.parametrize("facts", [{}, {"metric": "accuracy", "sign": "up"}])
def test_facts_of_another_form(facts: dict[str, str], tmp_path: Path) -> None:
    text = json.dumps({"command": "sweep", "status": "interrupted", **facts})
    (tmp_path / "run.json").write_text(text)
    (tmp_path / "config.yaml").write_text(CONFIG)
    with pytest.raises(CheckpointError, match="of another form"):
        resume(RunFolder(tmp_path), False, QUIET)
    assert (tmp_path / "run.json").read_text() == text
