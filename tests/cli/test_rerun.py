"""`ftune rerun` on the real command line: exit codes, the summary, the last sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CONFIG = """\
task: classification
data: {source: sklearn, name: iris, split: {val: 20, test: 20}}
model: {name: mlp, width: 8, depth: 1}
optimizer: {name: adamw, lr: 1e-2}
train: {epochs: 2, batch_size: 32}
"""


def ftune(folder: Path, *words: str, code: int) -> subprocess.CompletedProcess[str]:
    run = subprocess.run(
        [sys.executable, "-m", "ftune.cli", *words], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "COLUMNS": "80", "FTUNE_TRACEBACK": ""},
    )  # fmt: skip
    assert run.returncode == code, (words, run.stdout, run.stderr)
    assert "Traceback" not in run.stdout + run.stderr
    return run


def test_identical_is_0_and_a_difference_is_1(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    ftune(tmp_path, "optimize", "c.yaml", "--out", "run", "--quiet", code=0)
    again = ftune(tmp_path, "rerun", "run", "--out", "again", code=0)
    assert again.stdout.splitlines()[-1] == "identical: run; run: again"
    file = tmp_path / "run" / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[0]["loss"] += 1e-9
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    other = ftune(tmp_path, "rerun", "run", "--json", code=1)
    found: dict[str, Any] = json.loads(other.stdout)
    assert found["identical"] is False and found["of"] == "run"
    assert set(found["difference"]) == {"field", "was", "is", "note"}
    assert found["difference"]["field"].startswith("metrics.jsonl line 1 (step 0, val)")
    assert Path(tmp_path, found["run"]).is_dir()
    assert "differs: metrics.jsonl line 1" in other.stderr


def test_what_is_no_run(tmp_path: Path) -> None:
    assert "no such folder" in ftune(tmp_path, "rerun", "nowhere", code=2).stderr
