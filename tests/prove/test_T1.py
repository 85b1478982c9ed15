"""T1: what ftune computes is what references that nobody here wrote compute."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from support.differential import CONTROLS, Table, differences
from support.ledger import Ledger, full

FOLDER = Path(__file__).parents[1] / "differential"
REFERENCES = sorted(file.stem.removeprefix("test_") for file in FOLDER.glob("test_*.py"))
DRAWS = 20

pytestmark = pytest.mark.filterwarnings("ignore")


def comparisons(reference: str) -> Table:
    """The table of one file; skips where the reference is not installed."""
    location = FOLDER / f"test_{reference}.py"
    spec = importlib.util.spec_from_file_location(f"differential_{reference}", location)
    assert spec is not None and spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    table: Table = module.TABLE
    return table


@pytest.mark.parametrize("reference", REFERENCES)
def test_agrees(reference: str, ledger: Ledger) -> None:
    table = comparisons(reference)
    for name in table:
        gaps = list(differences(table, name, range(100, 100 + full(DRAWS))))
        failures = sum(gap > 1 for gap in gaps)
        ledger.counted("T1", len(gaps), failures, f"draws, {reference}: {name}")


@pytest.mark.parametrize("reference", REFERENCES)
def test_control(reference: str, ledger: Ledger) -> None:
    table = comparisons(reference)
    for name in table:
        caught = any(gap > 1 for gap in differences(table, name, range(CONTROLS), broken=True))
        ledger.control("T1", caught, f"{reference}: {name}")
