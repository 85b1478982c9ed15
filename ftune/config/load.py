"""From a file and overrides to a typed configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from ftune.config import extends, interpolate, overrides, tree
from ftune.config.explain import Explainer
from ftune.config.fields import Setting
from ftune.config.read import FAILED, Reader
from ftune.config.tree import Mark, Node
from ftune.errors import ConfigError, Problem, RequestError

Root = TypeVar("Root")


def _silent(_: str) -> None:
    """Drop a note."""


@dataclass(frozen=True)
class Language(Generic[Root]):
    """A root schema with the words around it; see `Explainer` for `renamed` and `reserved`."""

    root: type[Root]
    renamed: Mapping[str, str] = field(default_factory=dict)
    reserved: Mapping[str, str] = field(default_factory=dict)

    def read(
        self,
        node: Node,
        folders: Mapping[str, Path] | None = None,
        changes: Sequence[str] = (),
        kept: bool = False,
    ) -> Root:
        """Return a tree with overrides applied as an object.

        folders: what relative paths start from, by the file that they were written in; else where
        one stands. Raises ConfigError with every problem.
        """
        if not isinstance(node.value, dict):
            raise RequestError(f"{node.mark}: a configuration is a mapping of keys to values")
        overrides.apply(node, changes, self.root)
        reader = Reader(Explainer(self.root, self.renamed, self.reserved), folders or {})
        if extends.KEY in node.value:
            reader.problems.append(_late(node.value[extends.KEY]))
        reader.problems += interpolate.interpolate(node, kept)
        result = reader.schema(node, self.root, "")
        if reader.problems:
            raise ConfigError(sorted(reader.problems, key=lambda p: _order(p.where)))
        assert result is not FAILED
        return result  # type: ignore[no-any-return]

    def load(
        self, path: Path, changes: Sequence[str] = (), note: Callable[[str], None] = _silent
    ) -> Root:
        """Read a file and those that it extends; paths in each are relative to its folder.

        note: called with a sentence for each setting that a change of variant has dropped.
        """
        composed = extends.compose(path, self.root)
        config = self.read(composed.root, composed.folders, changes)
        for sentence in composed.dropped:
            note(sentence)
        return config

    def composed(self, path: Path, changes: Sequence[str] = ()) -> Node:
        """Return the tree of a file and those that it extends, with overrides and references."""
        root = extends.compose(path, self.root).root
        overrides.apply(root, changes, self.root)
        interpolate.interpolate(root)
        return root

    def settings_in(self, text: str) -> list[tuple[Mark, Setting]]:
        """Every key that a valid text sets, with its place and its setting."""
        reader = Reader(Explainer(self.root, self.renamed, self.reserved), {})
        reader.schema(tree.parse(text, "text"), self.root, "")
        assert not reader.problems, reader.problems
        return reader.seen

    def of(
        self,
        plain: Mapping[str, Any],
        changes: Sequence[str] = (),
        source: str = "config",
        kept: bool = False,
    ) -> Root:
        """Reads a configuration given as plain values; paths are relative to where one stands.

        kept: it lies beside a model, and may name variables that are not set here.
        """
        return self.read(tree.node_of(dict(plain), Mark(source, 1, 1)), None, changes, kept)


def _late(node: Node) -> Problem:
    message = "stands at the top of a file, and is read before anything is changed"
    return Problem(str(node.mark), extends.KEY, "misplaced", message)


def _order(where: str) -> tuple[str, int, int]:
    source, _, column = where.rpartition(":")
    source, _, line = source.rpartition(":")
    return (source, int(line), int(column)) if line.isdigit() and column.isdigit() else ("~", 0, 0)
