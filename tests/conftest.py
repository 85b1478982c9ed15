"""Fixtures of all tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from ftune import extend
from ftune.data import SOURCES, TRANSFORMS
from ftune.models import LAYERS, MODELS
from ftune.tasks import LOSSES

if TYPE_CHECKING:
    from support.sandbox import Sandbox


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A home of its own, in which hostile files are tried."""
    from support.sandbox import prepare

    with pytest.MonkeyPatch.context() as patch:
        yield prepare(tmp_path_factory.mktemp("box") / "s", patch)


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers by `--code` ends with it."""
    for table in (MODELS, LAYERS, TRANSFORMS, SOURCES):
        monkeypatch.setattr(table, "_entries", dict(table._entries))
    monkeypatch.setattr(extend, "_loaded", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    losses, modules = dict(LOSSES), set(sys.modules)
    yield
    LOSSES.clear()
    LOSSES.update(losses)
    for name in set(sys.modules) - modules:
        if name.startswith("_ftune_code_"):
            del sys.modules[name]
