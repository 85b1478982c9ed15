"""What `ftune check` answers to a bad configuration, and how good that answer is (promise B1)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from ftune.cli import app
from support.bad_configs import Bad

LINE = re.compile(r"^  (\S+?):(\d+):(\d+): (\S+): (.*) \[(\w+)\]$", re.MULTILINE)
MOST_SECONDS = 1.5
# The command in a process of its own, which says at its end what it imported.
CODE = """
import atexit, sys
atexit.register(lambda: print("MODULES", *sorted(sys.modules)))
import ftune.cli
ftune.cli.main()
"""


def check(*words: str) -> tuple[int, str]:
    """Exit code and stderr of `ftune check`, in this process."""
    result = CliRunner().invoke(app, ["check", *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stderr


def answer(bad: Bad, folder: Path) -> str:
    """What is said, in this process, of one row of the table."""
    file = folder / "ftune.yaml"
    file.write_text(bad.text, encoding="utf-8")
    code, said = check(str(file))
    assert code == 2, said
    assert all(len(x) <= 80 for x in said.splitlines() if x.startswith("      ")), said
    return said


@dataclass(frozen=True)
class Answer:
    """One command in a process of its own. modules: what it had imported at its end."""

    code: int
    said: str
    seconds: float
    modules: frozenset[str]

    @property
    def faults(self) -> list[str]:
        """What B1 does not allow, whatever the fault in the file was."""
        found = [] if self.code == 2 else [f"exit {self.code}"]
        found += ["traceback"] if "Traceback" in self.said else []
        found += [f"{self.seconds:.2f} s"] if self.seconds >= MOST_SECONDS else []
        return found + (["torch imported"] if "torch" in self.modules else [])


def ask(text: str, folder: Path, code: str = CODE) -> Answer:
    """`ftune check` of a file, as a user would start it.

    One that took too long is asked once more: a busy machine is no fault of the command's.
    """
    first = _ask(text, folder, code)
    if first.seconds < MOST_SECONDS:
        return first
    return min(first, _ask(text, folder, code), key=lambda answer: answer.seconds)


def ask_extended(text: str, folder: Path) -> Answer:
    """`ftune check` of a file that says nothing itself and extends `base.yaml`."""
    (folder / "base.yaml").write_text(text, encoding="utf-8")
    return ask("extends: base.yaml\n", folder)


def in_parent(bad: Bad, said: str) -> bool:
    """Whether the fault is placed in `base.yaml`, at its line and column there."""
    line, column = bad.place
    return any(f[:4] == ("base.yaml", str(line), str(column), bad.key) for f in LINE.findall(said))


def _ask(text: str, folder: Path, code: str) -> Answer:
    (folder / "ftune.yaml").write_text(text, encoding="utf-8")
    began = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-c", code, "check", "ftune.yaml"], cwd=folder, capture_output=True,
        text=True, env={**os.environ, "FTUNE_TRACEBACK": ""},
    )  # fmt: skip
    seconds = time.perf_counter() - began
    last = next((x for x in run.stdout.splitlines() if x.startswith("MODULES")), "")
    return Answer(run.returncode, run.stderr + run.stdout, seconds, frozenset(last.split()[1:]))


def placed(bad: Bad, said: str) -> bool:
    """Whether file, line, column and key are named."""
    line, column = bad.place
    return any((int(f[1]), int(f[2]), f[3]) == (line, column, bad.key) for f in LINE.findall(said))


def classed(bad: Bad, said: str) -> bool:
    """Whether the reason class is named where the fault stands."""
    line, column = bad.place
    here = [
        f for f in LINE.findall(said) if (int(f[1]), int(f[2]), f[3]) == (line, column, bad.key)
    ]
    return any(f[5] == bad.kind for f in here)


def remedied(bad: Bad, said: str) -> bool:
    return bad.hint in " ".join(said.split())
