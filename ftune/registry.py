"""Tables of variants: the names a user may write, and the class each name stands for.

A table lists import paths, not classes, so that reading a configuration loads only what it
names and a stranger sees every choice of a block on one screen.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping


class Table(Mapping[str, type]):
    """Name -> schema class of one block, imported when first asked for.

    `entries` maps a name to `"module:Class"`. Raises KeyError for an unknown name.
    """

    def __init__(self, block: str, entries: Mapping[str, str | type]) -> None:
        self.block = block
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> type:
        entry = self._entries[name]
        if isinstance(entry, str):
            module, _, attribute = entry.partition(":")
            entry = self._entries[name] = getattr(importlib.import_module(module), attribute)
        assert isinstance(entry, type), entry
        return entry

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def name_of(self, cls: type) -> str:
        """The name under which `cls` is listed; the inverse of indexing."""
        return next(name for name in self if self[name] is cls)

    def add(self, name: str, cls: type) -> None:
        """Lists a variant that comes from outside the package; a taken name is refused."""
        if name in self._entries:
            raise ValueError(f"{self.block} `{name}` exists already")
        self._entries[name] = cls
