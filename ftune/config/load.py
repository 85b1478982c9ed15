"""From a file and overrides to a typed configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from ftune.config import interpolate, overrides, tree
from ftune.config.explain import Explainer
from ftune.config.fields import Setting
from ftune.config.read import FAILED, Reader
from ftune.config.tree import Mark, Node
from ftune.errors import ConfigError, RequestError
from ftune.places import url_fault

Root = TypeVar("Root")


@dataclass(frozen=True)
class Language(Generic[Root]):
    """A root schema with the words around it; see `Explainer` for `renamed` and `reserved`."""

    root: type[Root]
    renamed: Mapping[str, str] = field(default_factory=dict)
    reserved: Mapping[str, str] = field(default_factory=dict)

    def read(
        self, node: Node, folder: Path, changes: Sequence[str] = (), kept: bool = False
    ) -> Root:
        """A tree with overrides applied, as an object. Raises ConfigError with every problem."""
        if not isinstance(node.value, dict):
            raise RequestError(f"{node.mark}: a configuration is a mapping of keys to values")
        overrides.apply(node, changes)
        reader = Reader(Explainer(self.root, self.renamed, self.reserved), folder)
        reader.problems += interpolate.interpolate(node, kept)
        result = reader.schema(node, self.root, "")
        if reader.problems:
            raise ConfigError(sorted(reader.problems, key=lambda p: _order(p.where)))
        assert result is not FAILED
        return result  # type: ignore[no-any-return]

    def load(self, path: Path, changes: Sequence[str] = ()) -> Root:
        """Reads a file; paths in it are relative to its folder."""
        return self.read(tree.parse(read_text(path), str(path)), path.resolve().parent, changes)

    def places(self, path: Path, changes: Sequence[str] = ()) -> dict[str, Mark]:
        """Where the value of each dotted key was written."""
        node = tree.parse(read_text(path), str(path))
        overrides.apply(node, changes)
        return {key: child.mark for key, child in node.walk()}

    def settings_in(self, text: str) -> list[tuple[Mark, Setting]]:
        """Every key that a valid text sets, with its place and its setting."""
        reader = Reader(Explainer(self.root, self.renamed, self.reserved), Path.cwd())
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
        return self.read(tree.node_of(dict(plain), Mark(source, 1, 1)), Path.cwd(), changes, kept)


def read_text(path: Path) -> str:
    """The text of a configuration file. Raises RequestError where there is none."""
    if fault := url_fault(path):
        raise RequestError(fault)
    try:
        if path.stat().st_size > tree.MAX_BYTES:
            raise RequestError(f"{path}: larger than {tree.MAX_BYTES:,} bytes, not a configuration")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RequestError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise RequestError(f"{path}: not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise RequestError(f"{path}: {error.strerror}") from None


def _order(where: str) -> tuple[str, int, int]:
    source, _, column = where.rpartition(":")
    source, _, line = source.rpartition(":")
    return (source, int(line), int(column)) if line.isdigit() and column.isdigit() else ("~", 0, 0)
