"""`check --data` reads a file whole once, and looks for leaks once."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ftune.cli import app
from ftune.data import reading
from ftune.data.once import answered, once
from ftune.data.profile import profile
from ftune.data.validation import profiled

CONFIG = """\
task: classification
data: {source: csv, path: t.csv, target: y}
model: {name: mlp, width: 4}
"""


def test_an_answer_is_kept_within_once_alone() -> None:
    asked: list[int] = []

    def answer() -> int:
        asked.append(len(asked))
        return asked[-1]

    assert [answered("a", 1, answer) for _ in range(2)] == [0, 1]
    with once():
        assert [answered("a", key, answer) for key in (1, 1, 2, 1)] == [2, 2, 3, 4]
    assert answered("a", 1, answer) == 5


def test_check_reads_and_measures_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"{i % 7},{'uv'[i % 2]}\n" for i in range(60))
    (tmp_path / "t.csv").write_text("a,y\n" + rows)
    (tmp_path / "c.yaml").write_text(CONFIG)
    counts = {"_loaded": 0, "_profiled": 0}

    def counted(module: object, name: str) -> None:
        real = getattr(module, name)

        def call(*args: object) -> object:
            counts[name] += 1
            return real(*args)

        monkeypatch.setattr(module, name, call)

    counted(reading, "_loaded")
    counted(profile, "_profiled")

    def checked() -> Result:
        return CliRunner().invoke(app, ["check", str(tmp_path / "c.yaml"), "--data"])

    result = checked()
    assert (result.exit_code, counts) == (0, {"_loaded": 1, "_profiled": 1})
    monkeypatch.setattr(profiled, "LARGEST", 10)
    assert checked().exit_code == 0
    assert counts == {"_loaded": 2, "_profiled": 2}, "control: the training's own, once more"
