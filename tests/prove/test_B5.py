"""B5: every accepted key is read by something."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.every_key import TABLE, run
from support.every_key_media import use_everything
from support.key_data import write_tables
from support.ledger import Ledger
from support.watch_keys import optimizer_with_an_unread_key, watch_all


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_key(folder: Path, monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> None:
    watch = watch_all(monkeypatch)
    use_everything(folder)
    unread = sorted(watch.unread)
    ledger.counted("B5", len(watch.fields), len(unread), f"keys {', '.join(unread)}".strip())


def test_control(monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> None:
    write_tables()
    with optimizer_with_an_unread_key(monkeypatch):
        watch = watch_all(monkeypatch)
        extended = {"name": "extended", "lr": 0.1, "unread": 2.0}
        run("optimize", {"data": TABLE, "optimizer": extended})
    caught = "Extended.unread" in watch.unread and "Extended.momentum" not in watch.unread
    ledger.control("B5", caught, "a key of an optimizer that nothing reads")
