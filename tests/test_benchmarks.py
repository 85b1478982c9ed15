"""Benchmarks: figures, ratios, and that docs/benchmarks.md says what the results say."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("_ratios"), importlib.import_module("_results")


def test_the_page_is_made_of_the_results(modules: tuple[Any, Any]) -> None:
    _, results = modules
    assert results.PAGE.read_text() == results.page(), "run ./scripts/bench page"


def test_ratios_are_taken_within_a_round(modules: tuple[Any, Any]) -> None:
    """The machine slows down from round to round; who is twice as fast stays so."""
    ratios, _ = modules
    ours = [{"speed": 100.0, "peak_bytes": 5}, {"speed": 20.0, "peak_bytes": 5}]
    theirs = [{"speed": 50.0, "peak_bytes": 10}, {"speed": 10.0, "peak_bytes": 10}]
    table = ratios.Table("t", ["them", "us"], ["them"], "speed", ladder=["them", "us"])
    told = ratios.rows(table, {"us": ours, "them": theirs})
    row = told["rows"][1]
    assert row["speed"] == 60 and row["ratio to them"] == [2, 2, 2]
    assert row["memory of them"] == [0.5, 0.5, 0.5] and told["ladder"] == [["us", 2]]


@pytest.mark.parametrize(("cores", "busy"), [(0.02, False), (2.0, True)])
def test_a_busy_machine_is_named(
    cores: float, busy: bool, modules: tuple[Any, Any], tmp_path: Path, monkeypatch: Any
) -> None:
    _, results = modules
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(results, "PAGE", tmp_path / "page.md")
    table = {"name": "t", "key": "speed", "rows": [{"side": "us", "speed": 3.5}], "ladder": []}
    said = {"about": "A thing.", "settings": {"rounds": 1}, "other_work": cores}
    results.record("thing", {**said, "tables": [table], "notes": ["slower"]}, "a-machine")
    page = (tmp_path / "page.md").read_text()
    assert "## a-machine" in page and "| us | 3.5 |" in page and "- slower" in page
    assert ("was busy" in page) == busy
