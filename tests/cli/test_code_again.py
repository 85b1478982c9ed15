"""A run with parts of the user's own says how to go on with it, and which file was forgotten."""

from __future__ import annotations

import hashlib
import re
import shlex
from pathlib import Path

import pytest
from support.commands import CONFIG, ftune, interrupted

TINY = """\
import ftune
from torch import nn

@ftune.model("tiny")
def tiny(inputs, outputs, width: int = 4):
    return nn.Sequential(nn.Linear(inputs.shape[0], width), nn.ReLU(), nn.Linear(width, outputs))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an interrupted run, `run`, and the line that it ended with."""
    folder = tmp_path_factory.mktemp("own code")
    rows = [f"{i % 7},{i % 5},{'yes' if i % 7 > 3 else 'no'}" for i in range(200)]
    (folder / "t.csv").write_text("\n".join(["a,b,label", *rows]) + "\n", encoding="utf-8")
    text = CONFIG.replace("{name: mlp, width: 8, depth: 1}", "tiny").replace(
        "epochs: 2", "epochs: 4000"
    )
    (folder / "ftune.yaml").write_text(text, encoding="utf-8")
    (folder / "my parts.py").write_text(TINY, encoding="utf-8")
    words = ["optimize", "--out", "run", "--code", "my parts.py"]
    said = interrupted(
        folder, words, lambda: (folder / "run" / "checkpoints" / "latest.json").exists()
    )
    (folder / "said.txt").write_text(said, encoding="utf-8")
    return folder


def test_the_line_is_complete(place: Path) -> None:
    said = (place / "said.txt").read_text(encoding="utf-8")
    (line,) = re.findall(r"Continue with: (ftune resume .*)", said)
    assert shlex.split(line) == ["ftune", "resume", "run", "--code", str(place / "my parts.py")]


@pytest.mark.parametrize("words", [["resume", "run"], ["evaluate", "run"], ["rerun", "run"]])
def test_a_forgotten_file_is_named(place: Path, words: list[str]) -> None:
    digest = hashlib.sha256(TINY.encode()).hexdigest()
    said = ftune(place, *words, code=2).stderr
    assert "code that is not given now" in said
    assert f"--code {place}/my parts.py (sha256:{digest})" in said


def test_a_changed_or_vanished_one_too(place: Path) -> None:
    file = place / "my parts.py"
    file.write_text(TINY + "# changed\n", encoding="utf-8")
    assert "it has changed since" in ftune(place, "evaluate", "run", code=2).stderr
    file.unlink()
    assert "it is no longer at" in ftune(place, "evaluate", "run", code=2).stderr
    file.write_text(TINY, encoding="utf-8")
    ftune(place, "evaluate", "run", "--code", "my parts.py")


def test_other_faults_stay_what_they_are(place: Path) -> None:
    text = (place / "run" / "config.yaml").read_text(encoding="utf-8")
    broken = text.replace("batch_size: 32", "batch_size: 0")
    assert broken != text
    (place / "run" / "config.yaml").write_text(broken, encoding="utf-8")
    said = ftune(place, "resume", "run", "--code", "my parts.py", code=2).stderr
    assert "batch_size" in said and "not given now" not in said
    (place / "run" / "config.yaml").write_text(text, encoding="utf-8")
