"""Which fields of the schema classes are read while something runs (promise B5)."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from ftune.config.fields import setting, settings_of
from ftune.optim import OPTIMIZERS
from ftune.optim.muon import Muon
from ftune.schema.root import RunConfig

# Read from the tree of nodes, before there is an object (tests/unit/config: interpolate, extends).
READ_BEFORE = {"Runtime.env", "RunConfig.extends"}
# Read where timm is (tests/unit/models/test_timm.py); the CPU build of torch has none.
NEEDS_TIMM = {"Timm.model", "Timm.pretrained", "Timm.dropout"}
NOT_A_USE = ("dataclasses.py", "<string>", f"ftune{os.sep}config{os.sep}", f"commands{os.sep}check")
NOT_A_USE_IN = {"__post_init__"}


def schemas(root: type) -> set[type]:
    """Every schema class that can be reached from a root."""
    found: set[type] = set()
    waiting = [root]
    while waiting:
        schema = waiting.pop()
        if schema in found:
            continue
        found.add(schema)
        for item in settings_of(schema).values():
            table: Mapping[str, type] = item.spec.table or {}
            waiting += [*table.values(), *([item.spec.schema] if item.spec.schema else [])]
    return found


class Watch:
    """Notes which fields of schema classes are read, and by whom it does not count."""

    def __init__(self, classes: set[type], patch: pytest.MonkeyPatch) -> None:
        self.fields = {
            f"{cls.__name__}.{item.attribute}"
            for cls in classes
            for item in settings_of(cls).values()
        }
        self.read: set[str] = set()
        for cls in classes:
            patch.setattr(cls, "__getattribute__", self._reader(cls), raising=False)

    def _reader(self, cls: type) -> Callable[[object, str], Any]:
        names = {item.attribute for item in settings_of(cls).values()}

        def read(instance: object, name: str) -> Any:
            if name in names:
                code = sys._getframe(1).f_code
                if code.co_name not in NOT_A_USE_IN and not any(
                    part in code.co_filename for part in NOT_A_USE
                ):
                    self.read.add(f"{type(instance).__name__}.{name}")
            return object.__getattribute__(instance, name)

        return read

    @property
    def unread(self) -> set[str]:
        return self.fields - self.read - READ_BEFORE - NEEDS_TIMM


@contextmanager
def optimizer_with_an_unread_key(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The negative control: an optimizer `extended` with a key that nothing reads."""
    extended = dataclasses.make_dataclass(
        "Extended", [("unread", float, setting(0.0))], bases=(Muon,), frozen=True
    )
    extended.__module__ = __name__
    patch.setitem(OPTIMIZERS._entries, "extended", extended)
    yield
    settings_of.cache_clear()


def watch_all(patch: pytest.MonkeyPatch) -> Watch:
    return Watch(schemas(RunConfig), patch)
