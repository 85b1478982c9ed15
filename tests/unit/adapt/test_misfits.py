"""Bases that do not fit (promise B4): an error that says why, or a table of what became of each."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.apart import apart
from support.misfits import (
    CASES,
    PASSED_OVER,
    Misfit,
    brought,
    careless,
    faults,
    saved,
    tensors,
    write_texts,
)

pytest.importorskip("transformers")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    apart(write_texts, tmp_path)
    return tmp_path


def test_there_are_enough() -> None:
    assert len(CASES) >= 12


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_each_is_said(name: str, here: Path) -> None:
    assert apart(lambda: faults(CASES[name], here), here) == []


def test_control_a_base_that_fits_is_loaded_whole(here: Path) -> None:

    def counts() -> list[object]:
        report = brought(Misfit(saved(tensors()), ()), here)
        return [len(report.loaded), len(report.missing), report.notes]

    assert apart(counts, here) == [6, 0, []]


def test_control_silence_would_be_seen(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftune.assembly.initial_weights.transfer", careless)
    assert [n for n in PASSED_OVER if not apart(lambda n=n: faults(CASES[n], here), here)] == []  # type: ignore[misc]
