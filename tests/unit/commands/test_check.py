"""`ftune check`: the verdict after what it judges, of one command where one is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.trainings import undisturbed
from typer.testing import CliRunner

from ftune.cli import app
from ftune.schema.root import LANGUAGE

CONFIG = """
task: classification
data: {source: csv, path: t.csv, target: y}
model: {name: mlp, width: 4, depth: 1}
train: {steps: 2}
runtime: {threads: 1, device: cpu}
"""
COMMANDS = ("optimize", "finetune", "lr-find", "sweep")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = [f"{i},{i % 3 / 2},{'ab'[i % 2]}" for i in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["x,z,y", *rows]) + "\n", encoding="utf-8")
    (tmp_path / "c.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path / "c.yaml"


def check(*words: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["check", *map(str, words)])
    assert result.exit_code == code, result.output
    return result.output


def test_a_base_is_given_as_finetune_has_it(file: Path, tmp_path: Path) -> None:
    undisturbed(LANGUAGE.load(file), tmp_path / "run")
    assert "give --base PATH" in check(file, "--for", "finetune", "--data", code=2)
    for words in ((), ("--data",), ("--data", "--for", "finetune")):
        assert f"starts from {tmp_path / 'run'}" in check(file, "--base", tmp_path / "run", *words)
    assert "needs --base" in check(file)
    assert "none" in check(file, "--data", "--base", tmp_path / "none", code=2)


def test_one_command_is_judged_alone(file: Path) -> None:
    for name in ("optimize", "lr-find"):
        said = [line.split()[0] for line in check(file, "--for", name).splitlines()[1:]]
        assert said == [name]
    every = [line.split()[0] for line in check(file).splitlines()[1:]]
    assert every == list(COMMANDS)
    assert "valid" not in check(file, "--for", "sweep", code=2)


def test_the_verdict_comes_after_the_data(file: Path, tmp_path: Path) -> None:
    lines = check(file, "--data").splitlines()
    columns = next(i for i, line in enumerate(lines) if line.startswith(" column"))
    assert lines.index(f"{file}: valid") > columns
    (tmp_path / "t.csv").write_text("x,z,y\n1,2,a\n1,oh,\n", encoding="utf-8")
    said = check(file, "--data", code=2)
    assert "error:" in said and "valid" not in said and "optimize" not in said
    assert f"{file}: valid" in check(file)  # the control: nothing is known without the data
