"""Promise S3: what a header declares is checked before memory is taken; bombs end at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.bombs import CONFIGS, DATA, Bomb
from support.bombs_of_weights import FILES, FOLDERS
from support.bounded import faults_of, unguarded, warm
from support.ledger import Ledger

TABLES = {"configurations": CONFIGS, "data": DATA, "weights": FILES, "folders": FOLDERS}


@pytest.mark.parametrize("table", TABLES)
def test_each_bomb_ends_within_two_seconds_and_500_mb(
    table: str, tmp_path: Path, ledger: Ledger
) -> None:
    warm()
    faults = faults_of(TABLES[table], tmp_path)
    ledger.counted("S3", len(TABLES[table]), len(faults), f"{table}: {'; '.join(faults)}")


CAUGHT = {
    "JSON objects 100,000 deep": DATA,
    "200,000 keys of JSON": DATA,
    "3 GB in one number": FILES,
    "layers of a million": CONFIGS,
}


@pytest.mark.parametrize("name", CAUGHT)
def test_without_its_guard_a_bomb_is_noticed(
    name: str, tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm()
    unguarded(monkeypatch)
    table: dict[str, Bomb] = {name: CAUGHT[name][name]}
    ledger.control("S3", bool(faults_of(table, tmp_path)), f"{name}, without its guard")
