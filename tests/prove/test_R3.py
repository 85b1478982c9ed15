"""R3: what cannot be exact is named before the first step, and needs --allow-inexact."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.inexact import EXACT, INEXACT, complained, named
from support.ledger import Ledger


@pytest.mark.parametrize("name", INEXACT)
def test_named(name: str, tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = named(name, tmp_path, monkeypatch)
    ledger.counted("R3", 1, int(bool(fault)), f"named: another {name} {fault}".strip())


@pytest.mark.parametrize("name", EXACT)
def test_not_complained_of(
    name: str, tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = complained(name, tmp_path, monkeypatch)
    ledger.counted("R3", 1, int(bool(fault)), f"not complained of: {name} {fault}".strip())


def test_control(tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resume that compares nothing."""
    monkeypatch.setattr("ftune.training.reopen.differences", lambda *_: [])
    missed = []
    for name in INEXACT:
        (tmp_path / name).mkdir()
        with pytest.MonkeyPatch.context() as patch:
            missed += [] if named(name, tmp_path / name, patch) else [name]
    ledger.control("R3", not missed, f"a resume that compares nothing, {len(INEXACT)} times")
