"""W1: a sweep under kill -9 loses no finished trial and leaves none open.

Trials run inside the sweep's own process: a kill hits the study and the training at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.killed import check_sweep, cut_off, forgets_the_open, kill_sweep
from support.ledger import Ledger, full
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
