"""C1: whatever kills a save, a whole checkpoint is left."""

from __future__ import annotations

from pathlib import Path

from support.ledger import Ledger, full
from support.storms import in_place, storm, training_storm


def test_saves(part: int, tmp_path: Path, ledger: Ledger) -> None:
    kills, unreadable = storm(tmp_path / "c", full(500), seed=5 + 1000 * part)
    ledger.counted("C1", kills, unreadable, "SIGKILLs in save, point and prune")


def test_trainings_that_save_at_every_step(part: int, tmp_path: Path, ledger: Ledger) -> None:
    kills, unreadable = training_storm(tmp_path, full(100), seed=7 + 1000 * part)
    ledger.counted("C1", kills, unreadable, "SIGKILLs of trainings that save at every step")


def test_control(tmp_path: Path, ledger: Ledger) -> None:
    """Overwriting one file must lose what it held, or the storm proves nothing."""
    kills, lost = in_place(tmp_path, full(50), seed=6)
    ledger.control("C1", lost > 0, f"saving in place: {lost} of {kills} unreadable")
