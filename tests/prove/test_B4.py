"""B4: a base that does not fit gets an error that says why, or a table of what became of each."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.apart import apart
from support.ledger import Ledger
from support.misfits import CASES, PASSED_OVER, careless, faults, write_texts

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def answered(names: tuple[str, ...], here: Path) -> dict[str, list[str]]:
    """Each case in a folder of its own; what was wrong with its answer."""
    return {name: apart(lambda n=name: answer(n), _new(here / name)) for name in names}  # type: ignore[misc]


def answer(name: str) -> list[str]:
    write_texts()
    return faults(CASES[name], Path.cwd())


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_every_kind(here: Path, ledger: Ledger) -> None:
    assert len(CASES) >= 12
    wrong = {name: said for name, said in answered(tuple(CASES), here).items() if said}
    print(wrong, file=sys.stderr)  # noqa: T201
    ledger.counted("B4", len(CASES), len(wrong), "kinds of bases that do not fit")


def test_control(here: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftune.assembly.initial_weights.transfer", careless)
    seen = answered(PASSED_OVER, here)
    ledger.control("B4", all(seen.values()), f"loading what fits in silence, {len(seen)} kinds")
