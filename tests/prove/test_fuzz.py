"""Ten minutes of broken configurations, tables, pictures, weights and folders: none may raise
anything but a refusal, take more than two seconds, or grow by more than 500 MB.

Where atheris is installed, two of the ten are guided by the lines of code that an input reaches.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support import bombs
from support.bounded import warm
from support.broken import targets
from support.fuzz import hunt
from support.guided import INSTALLED, guided
from support.ledger import SHARE, Ledger
from support.planted import GUIDED, PLANTED

SECONDS = {"config": 100, "table": 120, "picture": 60, "weights": 80, "peft": 30, "gguf": 50,
           "run": 100, "hf": 60}  # fmt: skip
GUIDED_SECONDS = {"config": 40, "table": 40, "weights": 40}
BLIND = 1 - sum(GUIDED_SECONDS.values()) / sum(SECONDS.values()) if INSTALLED else 1
"""The part of its seconds that each target keeps, so that all together stay ten minutes."""
needs_atheris = pytest.mark.skipif(
    not INSTALLED, reason="atheris has wheels for Linux on x86-64 only"
)


@pytest.mark.parametrize("name", SECONDS)
def test_broken_input_is_refused_or_read(name: str, tmp_path: Path, ledger: Ledger) -> None:
    warm()
    make = targets(tmp_path / "whole")[name]
    found = hunt(name, make, tmp_path / "cases", max(2, SECONDS[name] * BLIND * SHARE))
    said = "; ".join(f"case {number}: {what}" for what, number in found.findings.items())
    ledger.counted("fuzz", found.count, len(found.findings), f"{name}: {said}")
    assert found.refused, "nothing was broken"


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_fault_is_found(
    kind: str, tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm()
    make = targets(tmp_path / "whole")["table"]
    monkeypatch.setattr(bombs, "read", PLANTED[kind])
    monkeypatch.setattr("support.broken.read", PLANTED[kind])
    found = hunt("table", make, tmp_path / "cases", 5)
    ledger.control("fuzz", bool(found.findings), f"a reader that is {kind}")


@needs_atheris
@pytest.mark.parametrize("name", GUIDED_SECONDS)
def test_input_guided_by_coverage_is_refused_or_read(
    name: str, tmp_path: Path, ledger: Ledger
) -> None:
    found = guided(name, tmp_path, max(2, GUIDED_SECONDS[name] * SHARE))
    said = "; ".join(f"case {number}: {what}" for what, number in found.findings.items())
    ledger.counted("fuzz", found.count, len(found.findings), f"{name}, guided: {said}")
    assert found.refused, "nothing was broken"


@needs_atheris
@pytest.mark.parametrize("kind", GUIDED)
def test_a_fault_planted_for_the_guided_run_is_found(
    kind: str, tmp_path: Path, ledger: Ledger
) -> None:
    found = guided(kind, tmp_path, 200, first=True)
    ledger.control("fuzz", bool(found.findings), f"a reader that is {kind}, guided")
