"""T4: the tests notice a wrong line. Small faults are planted in the rooms whose numbers count."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from mutation.report import Score
from support.ledger import Ledger, full

ROOT = Path(__file__).resolve().parents[2]
SEED = 9
GOAL = 0.9


def score(folder: Path, *arguments: str) -> Score:
    """What scripts/mutate counts, in a process of its own."""
    summary = folder / "summary.json"
    done = subprocess.run(
        [sys.executable, "-m", "mutation", *arguments, "--summary", str(summary)],
        cwd=ROOT / "tests", capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)  # noqa: T201
    return Score(**json.loads(summary.read_text("utf-8")))


def test_mutants_drawn_by_a_seed(part: int, tmp_path: Path, ledger: Ledger) -> None:
    """Each mutant of all rooms is as likely as any other; those judged equivalent do not count."""
    drawn, seed = full(200), SEED + part
    result = score(tmp_path, "--draw", str(drawn), "--seed", str(seed))
    assert result.count + result.equivalent == drawn
    failures = 0 if result.share >= GOAL else len(result.lived)
    ledger.counted("T4", result.count, failures, f"mutants by seed {seed}: {result}")


def test_control(tmp_path: Path, ledger: Ledger) -> None:
    """The same tests without their assertions must let more than a tenth live."""
    drawn = str(full(30))
    result = score(tmp_path, "batches", "tasks", "--toothless", "--draw", drawn, "--seed", "1")
    ledger.control("T4", result.share < GOAL, f"tests without assertions: {result}")
