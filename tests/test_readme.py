"""Every ```bash block of the README and the tour runs in bash, in the order shown.

A block of any kind after a line `<!-- file: NAME -->` is written to NAME first. Other blocks
(```text, ```python …) are read by nobody. `RUN` in a command stands for the newest run folder.
docs/code.md is run in the same way, and what it says that its commands print is looked for.
"""

from __future__ import annotations

import os
import re
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


def newest_run(folder: Path) -> str:
    runs = sorted((folder / "runs").glob("*/run.json"), key=lambda f: f.stat().st_mtime)
    return str(runs[-1].parent.relative_to(folder)) if runs else "RUN"


def call(block: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The block with the commands of this environment; the first that fails ends it."""
    script = re.sub(r"\bRUN\b", newest_run(folder), block)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    home = {"PATH": path, "COLUMNS": "80", "XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, capture_output=True, text=True,
        env={**os.environ, **home},
    )  # fmt: skip


def play(text: str, folder: Path, told: bool = False) -> int:
    """Runs a text's blocks in a folder; returns how many commands there were.

    told: a text block holds lines that the commands before it print; last digits may differ.
    """
    count, printed = 0, ""
    for file, kind, content in blocks(text):
        if file is not None:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(content, encoding="utf-8")
        if kind == "bash":
            run = call(content, folder)
            assert run.returncode == 0, f"{content}\n{run.stdout}\n{run.stderr}"
            count += len(re.findall(r"^ftune ", content, re.M))
            printed = run.stdout
        if kind == "text" and told:
            lines = set(map(shown, printed.splitlines()))
            assert [line for line in content.splitlines() if shown(line) not in lines] == []
    return count


def shown(line: str) -> str:
    """A line without the figures behind a point, and with single spaces."""
    return " ".join(re.sub(r"(\d\.\d)\d*", r"\1", line).split())


@pytest.mark.slow
def test_every_command_of_the_tour_runs(tmp_path: Path) -> None:
    assert play((PROJECT / "docs" / "tour.md").read_text(encoding="utf-8"), tmp_path) >= 20


@pytest.mark.slow
def test_the_readme_is_short_and_its_commands_run(tmp_path: Path) -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert len(text) <= 8000
    assert play(text, tmp_path) >= 5


@pytest.mark.slow
def test_every_example_of_own_code_runs_and_prints_what_it_says(tmp_path: Path) -> None:
    text = (PROJECT / "docs" / "code.md").read_text(encoding="utf-8")
    assert play(text, tmp_path, told=True) >= 14
    wrong = text.replace("50 predictions", "51 predictions")
    assert wrong != text
    wrong = wrong[wrong.index("<!-- file: waves.py") : wrong.index("And images")]
    with pytest.raises(AssertionError, match="51 predictions"):
        play(wrong, tmp_path / "other", told=True)


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
