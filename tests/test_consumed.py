"""Every accepted key is read by something (promise B5).

Each schema class notes which of its fields are read while tiny trainings run that together use
every variant of every table and every root block (support/every_key.py, every_key_media.py).
Reading a file, validating and dumping it do not count: a key that only travels through the
configuration fails here.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.apart import apart
from support.every_key import TABLE, run
from support.every_key_media import use_everything
from support.key_data import write_tables
from support.watch_keys import (
    NEEDS_TIMM,
    READ_BEFORE,
    optimizer_with_an_unread_key,
    schemas,
    watch_all,
)

from ftune.models import LAYERS
from ftune.registry import Table
from ftune.schema.root import RunConfig


def test_every_setting_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def use() -> None:
        watch = watch_all(monkeypatch)
        use_everything(tmp_path)
        assert watch.fields >= READ_BEFORE | NEEDS_TIMM
        assert sorted(watch.unread) == [], "use these settings in tests/support/every_key*.py"

    apart(use, tmp_path)


def test_the_walk_reaches_every_variant() -> None:
    from ftune import data, models, optim, tasks

    tables = [t for room in (data, models, optim, tasks) for t in vars(room).values()]
    found = schemas(RunConfig)
    for table in (t for t in tables if isinstance(t, Table) and t is not data.PIPELINES):
        assert {table[name] for name in table} <= found
    assert LAYERS["linear"] in found


def test_a_key_that_nothing_reads_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def use() -> set[str]:
        write_tables()
        with optimizer_with_an_unread_key(monkeypatch):
            watch = watch_all(monkeypatch)
            extended = {"name": "extended", "lr": 0.1, "unread": 2.0}
            run("optimize", {"data": TABLE, "optimizer": extended})
        return set(watch.unread)

    unread = apart(use, tmp_path)
    assert "Extended.unread" in unread
    assert "Extended.momentum" not in unread
