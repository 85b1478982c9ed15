"""S4: secrets reach no log, run folder, checkpoint, study or exported file."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.ledger import Ledger
from support.secrets_planted import (
    SECRETS,
    Session,
    a_few_commands,
    every_command,
    found_in,
    planted,
)

from ftune.security import redact


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart: None) -> Session:  # noqa: ARG001
    return planted(tmp_path, monkeypatch)


def test_nothing_written_holds_a_secret(session: Session, ledger: Ledger) -> None:
    every_command(session)
    found = found_in(session)
    assert found == []
    count = len(SECRETS) * len(session.said)
    ledger.counted("S4", count, len(found), f"{len(SECRETS)} secrets through {len(session.said)} "
                   "commands; their files and all that they said")  # fmt: skip


BROKEN = {
    "no look at the form of a token": ("hide_forms", lambda text: text),
    "no look at the environment": ("_known", lambda *_: ()),
    "no look at keys": ("is_secret_key", lambda *_: False),
}


@pytest.mark.parametrize("how", BROKEN)
def test_control_without_one_guard(
    how: str, session: Session, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each guard by itself: without it the same look finds something."""
    monkeypatch.setattr(redact, *BROKEN[how])
    a_few_commands(session)
    ledger.control("S4", bool(found_in(session)), how)
