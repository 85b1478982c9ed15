"""Modules that exist on Unix only are not needed: a training runs where they cannot be imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CONFIG = """
task: classification
data: {source: sklearn, name: iris}
model: mlp
train: {epochs: 1}
"""
PROGRAM = """
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "resource":
            raise ModuleNotFoundError(name)
sys.modules.pop("resource", None)
sys.meta_path.insert(0, Absent())
import ftune
summary = ftune.run("optimize", "c.yaml")
assert "resource" not in sys.modules
import json
print(json.dumps({"peak": summary.get("peak_memory_bytes"), "steps": summary["steps"]}))
"""


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "c.yaml").write_text(CONFIG, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True
    )


def test_a_training_runs_without_the_module_resource(tmp_path: Path) -> None:
    result = run(PROGRAM, tmp_path)
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout.splitlines()[-1])
    assert summary["peak"] is None
    assert summary["steps"] > 0


def test_a_module_that_is_needed_would_be_missed(tmp_path: Path) -> None:
    result = run(PROGRAM.replace('"resource"', '"shutil"', 1), tmp_path)
    assert result.returncode != 0
