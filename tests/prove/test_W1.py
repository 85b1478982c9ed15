"""W1: a sweep under kill -9 loses no finished trial and leaves none open; a run has one writer.

Trials run inside the sweep's own process: a kill hits the study and the training at once.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.killed import check_sweep, cut_off, forgets_the_open, kill_sweep
from support.ledger import Ledger, full
from support.racing import (
    faults_of,
    goes_on_unlocked,
    interrupted_run,
    interrupted_sweep,
    met,
    race,
    whole_run,
    whole_sweep,
)
from support.sweeps import GRID, HALVING, run_sweep, sweep_or_resume

KINDS: dict[str, dict[str, Any]] = {"grid": GRID, "halving": HALVING}


@pytest.mark.parametrize("kind", KINDS)
def test_sweeps(kind: str, part: int, tmp_path: Path, ledger: Ledger) -> None:
    block = KINDS[kind]
    run_sweep(tmp_path / "whole", block)
    hits, seed, failures = 0, 3000 + 1000 * part, 0
    while hits < full(50):
        hits += kill_sweep(tmp_path / f"s{seed}", block, 6, seed)
        try:
            check_sweep(tmp_path / f"s{seed}", tmp_path / "whole")
        except AssertionError as error:
            print(f"s{seed}: {error}")  # noqa: T201
            failures += 1
        seed += 1
    ledger.counted("W1", hits, failures, f"SIGKILLs of a {kind}: no trial lost or open, same bits")


def test_control(tmp_path: Path, ledger: Ledger) -> None:
    run_sweep(tmp_path / "whole", GRID)
    cut_off(tmp_path / "right", GRID, sweep_or_resume)
    check_sweep(tmp_path / "right", tmp_path / "whole")
    cut_off(tmp_path / "forgetful", GRID, forgets_the_open)
    try:
        check_sweep(tmp_path / "forgetful", tmp_path / "whole")
        caught = False
    except AssertionError:
        caught = True
    ledger.control("W1", caught, "a sweep that forgets the trial it was at")


RACES = {"run": (200, interrupted_run, whole_run), "sweep": (20, interrupted_sweep, whole_sweep)}


@pytest.mark.parametrize("kind", RACES)
def test_two_at_once(kind: str, tmp_path: Path, ledger: Ledger) -> None:
    """Each pair: one ends it, the other is told so in a sentence; not a line is lost."""
    most, prepare, finish = RACES[kind]
    prepare(tmp_path / "parts")
    finish(tmp_path / "whole")
    pairs, failures, meetings = full(most), 0, 0
    for number in range(pairs):
        out = tmp_path / f"r{number}"
        ended = race(tmp_path / "parts", out)
        faults = faults_of(ended, out, tmp_path / "whole")
        meetings += met(ended[1])
        failures += bool(faults)
        print(*faults, sep="\n", end="")  # noqa: T201
        shutil.rmtree(out)
    assert meetings > pairs / 2, "the two hardly ever met"
    ledger.counted("W1", pairs, failures, f"pairs of `ftune resume` of one {kind} at once: one "
                   f"winner, its metrics whole ({meetings} met the lock)")  # fmt: skip


def test_control_two_at_once(tmp_path: Path, ledger: Ledger) -> None:
    interrupted_run(tmp_path / "parts")
    whole_run(tmp_path / "whole")
    caught = False
    for number in range(5):
        out = tmp_path / f"r{number}"
        ended = race(tmp_path / "parts", out, goes_on_unlocked)
        caught = caught or bool(faults_of(ended, out, tmp_path / "whole"))
    ledger.control("W1", caught, "two at once without a lock")
