"""Fixtures of all tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch
from support.apart import TESTS
from support.process_state import changes, state

from ftune import extend
from ftune.data import SOURCES, TRANSFORMS
from ftune.models import LAYERS, MODELS
from ftune.tasks import LOSSES, METRICS, OBJECTIVES

if TYPE_CHECKING:
    from support.sandbox import Sandbox


# Of the whole process, before the first test: one thread, so that its forks never wait for another
# one that they have not; and its number, so that children know that they are some.
torch.set_num_threads(1)
os.environ[TESTS] = str(os.getpid())


@pytest.fixture(autouse=True)
def unchanged_process() -> Iterator[None]:
    """Fails the test that leaves pytest's own process other than it was; see support/apart.py."""
    before = state()
    yield
    leaked = changes(before, state())
    assert not leaked, f"changed in pytest's own process: {'; '.join(leaked)}"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """A home of its own, in which hostile files are tried, by `sandbox.inside`."""
    from support.sandbox import prepare

    return prepare(tmp_path_factory.mktemp("box") / "s")


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers by `--code` ends with it."""
    for table in (MODELS, LAYERS, TRANSFORMS, SOURCES, METRICS, OBJECTIVES):
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
