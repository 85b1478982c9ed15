"""B5: every accepted key is read by something."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.apart import apart
from support.every_key import TABLE, run
from support.every_key_media import use_everything
from support.key_data import write_tables
from support.ledger import Ledger
from support.watch_keys import optimizer_with_an_unread_key, watch_all


def test_every_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> None:
    def use() -> tuple[int, list[str]]:
        watch = watch_all(monkeypatch)
        use_everything(tmp_path)
        return len(watch.fields), sorted(watch.unread)

    fields, unread = apart(use, tmp_path)
    ledger.counted("B5", fields, len(unread), f"keys {', '.join(unread)}".strip())


def test_control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger: Ledger) -> None:
    def use() -> set[str]:
        write_tables()
        with optimizer_with_an_unread_key(monkeypatch):
            watch = watch_all(monkeypatch)
            extended = {"name": "extended", "lr": 0.1, "unread": 2.0}
            run("optimize", {"data": TABLE, "optimizer": extended})
        return set(watch.unread)

    unread = apart(use, tmp_path)
    caught = "Extended.unread" in unread and "Extended.momentum" not in unread
    ledger.control("B5", caught, "a key of an optimizer that nothing reads")
