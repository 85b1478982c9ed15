"""S5: what ftune writes into its run folders is tensors, JSON, YAML, text, pictures, a study."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.hidden import HIDDEN
from support.ledger import Ledger
from support.plain_files import faults
from support.run_kinds import every_kind
from support.sandbox import Sandbox


@pytest.fixture(scope="module")
def runs(sandbox: Sandbox) -> dict[str, Path]:
    return sandbox.inside(lambda: every_kind(sandbox, sandbox.place / "kinds"))


def test_run_folders(runs: dict[str, Path], ledger: Ledger) -> None:
    files = sum(len([f for f in run.rglob("*") if f.is_file()]) for run in runs.values())
    found = [f"{name}: {why}" for name, run in runs.items() for why in faults(run)]
    ledger.counted("S5", files, len(found), f"files of {len(runs)} runs" + "".join(found))


@pytest.mark.parametrize("kind", HIDDEN)
def test_controls(kind: str, runs: dict[str, Path], tmp_path: Path, ledger: Ledger) -> None:
    copy = tmp_path / "sweep"
    shutil.copytree(runs["sweep"], copy)
    assert not faults(copy)
    HIDDEN[kind](copy)
    ledger.control("S5", bool(faults(copy)), kind)
