"""`ftune --help` and `ftune check` start without the heavy packages; no clock is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "numpy", "pyarrow", "sklearn", "scipy", "optuna", "sqlalchemy", "matplotlib",
         "safetensors", "rich"}  # fmt: skip
CODE = """
import atexit, sys
atexit.register(lambda: print("MODULES", *sorted({name.partition(".")[0] for name in sys.modules})))
import ftune.cli
ftune.cli.main()
"""


def loaded(folder: Path, *words: str) -> tuple[int, set[str]]:
    """Exit code of a command, and the packages that its process has imported at its end."""
    run = subprocess.run(
        [sys.executable, "-c", CODE, *words], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    names = next(x for x in reversed(run.stdout.splitlines()) if x.startswith("MODULES"))
    return run.returncode, set(names.split()[1:])


@pytest.mark.parametrize("words", [["--help"], ["optimize", "--help"], ["--version"]])
def test_help_loads_neither_heavy_packages_nor_the_schema(words: list[str], tmp_path: Path) -> None:
    code, names = loaded(tmp_path, *words)
    assert code == 0
    assert "ftune" in names
    assert not names & (HEAVY | {"omegaconf", "yaml"})


@pytest.mark.parametrize(
    "words",
    [
        ["check", str(PROJECT / "configs" / "digits.yaml")],
        ["check", str(PROJECT / "ftune" / "templates" / "sweep.yaml")],
        ["check", "--json", str(PROJECT / "configs" / "mymodel.yaml"), "train.epochs=3"],
        ["schema", "train.epochs"],
        ["init", "digits"],
    ],
    ids=lambda words: words[0],
)
def test_check_schema_and_init_load_no_heavy_package(words: list[str], tmp_path: Path) -> None:
    code, names = loaded(tmp_path, *words)
    assert code == 0
    assert "omegaconf" in names
    assert not names & HEAVY


def test_a_training_command_would_be_seen(tmp_path: Path) -> None:
    """The control: the same look at `optimize` finds torch."""
    words = ["optimize", str(PROJECT / "configs" / "digits.yaml"), "train.steps=1", "data.limit=64"]
    code, names = loaded(tmp_path, *words)
    assert code == 0
    assert {"torch", "numpy"} <= names
