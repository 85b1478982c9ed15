"""`scripts/golden compare REV [NAME …]`, `scripts/golden record`; see scripts/golden."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from golden.compare import differences
from golden.record import Trace
from golden.runs import RUNS
from golden.stored import FILE, Stored, machine

PROJECT = Path(__file__).parents[2]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/golden")
    commands = parser.add_subparsers(dest="command", required=True)
    compare = commands.add_parser("compare", help="run a commit and this tree, compare bits")
    compare.add_argument("revision")
    compare.add_argument("names", nargs="*", choices=[*RUNS, []])
    commands.add_parser("record", help=f"write {FILE.name} anew, of this tree")
    asked = parser.parse_args(arguments)
    if asked.command == "record":
        with tempfile.TemporaryDirectory() as folder:
            Stored(machine(), finish(start(PROJECT, Path(folder), list(RUNS)))).write()
        return 0
    return _compare(asked.revision, asked.names or list(RUNS))


def _compare(revision: str, names: list[str]) -> int:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _git("worktree", "add", "--detach", "--force", str(folder / "tree"), revision)
        stack.callback(_git, "worktree", "remove", "--force", str(folder / "tree"))
        both = [start(tree, folder / side, names)
                for side, tree in (("old", folder / "tree"), ("new", PROJECT))]  # fmt: skip
        old, new = (finish(running) for running in both)
    different = differences(old, new, bits=True)
    named = {text.partition(":")[0] for text in different}
    lines = [f"{name:26} {'differs' if name in named else 'equal'}" for name in names]
    sys.stdout.write("\n".join([*lines, *different, ""]))
    return 1 if different else 0


def start(tree: Path, folder: Path, names: list[str]) -> tuple[subprocess.Popen[str], Path]:
    """Trains with the package of one tree, in a process of its own, by the runs of this one."""
    folder.mkdir(parents=True, exist_ok=True)
    package = tree / "src" if (tree / "src/ftune").exists() else tree
    paths = os.pathsep.join([str(package), str(PROJECT / "tests")])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "golden.record", *names]
    running = subprocess.Popen(
        words, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    return running, folder


def finish(running: tuple[subprocess.Popen[str], Path]) -> dict[str, Trace]:
    process, folder = running
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"golden runs ended with {process.returncode}:\n{output}")
    traces: dict[str, Trace] = json.loads((folder / "traces.json").read_text("utf-8"))
    return traces


def _git(*words: str) -> None:
    subprocess.run(["git", "-C", str(PROJECT), *words], check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
