"""Every `ftune` command that the README shows in a ```bash block runs, in the order shown.

A ```yaml block after a line `<!-- file: NAME -->` is written to NAME first. Blocks of other kinds
(```text, ```python …) are read by nobody. `RUN` in a command stands for the newest run folder.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"(?:^<!-- file: (?P<file>\S+) -->\n+)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)


def blocks(text: str) -> list[tuple[str | None, str, str]]:
    """File name, kind and text of each fenced block."""
    return [(m["file"], m["kind"], m["text"]) for m in BLOCK.finditer(text)]


def commands(text: str) -> list[str]:
    """The `ftune …` lines of a bash block; a backslash joins lines, a comment ends one."""
    joined = text.replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.startswith("ftune ")]


def newest_run(folder: Path) -> str:
    runs = sorted((folder / "runs").glob("*/run.json"), key=lambda f: f.stat().st_mtime)
    return str(runs[-1].parent.relative_to(folder)) if runs else "RUN"


def call(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = shlex.split(line, comments=True)[1:]
    words = [newest_run(folder) if word == "RUN" else word for word in words]
    return subprocess.run(
        [sys.executable, "-m", "ftune.cli", *words], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip


def play(text: str, folder: Path) -> int:
    """Runs a text's blocks in a folder; returns how many commands there were."""
    count = 0
    for file, kind, content in blocks(text):
        if file is not None:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(content, encoding="utf-8")
        for line in commands(content) if kind == "bash" else []:
            run = call(line, folder)
            assert run.returncode == 0, f"{line}\n{run.stdout}\n{run.stderr}"
            count += 1
    return count


@pytest.mark.slow
def test_every_command_of_the_readme_runs(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "configs", tmp_path / "configs")
    assert play((PROJECT / "README.md").read_text(encoding="utf-8"), tmp_path) >= 3


TEXT = """
<!-- file: a.yaml -->
```yaml
task: classification
data: {source: sklearn, name: iris}
model: mlp
```
```text
ftune nonsense
```
```bash
ftune check a.yaml \\
    train.epochs=1   # a comment
```
"""


def test_files_are_written_and_only_bash_is_run(tmp_path: Path) -> None:
    assert play(TEXT, tmp_path) == 1


def test_a_command_that_fails_is_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="did you mean `epochs`"):
        play(TEXT.replace("train.epochs", "train.epoch"), tmp_path)
