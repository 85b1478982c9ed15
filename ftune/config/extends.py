"""`extends: base.yaml`: several files as one tree, in which each value keeps its file and line.

A file stands over those that it extends, of a list the later over the earlier. Mappings are
merged, everything else is replaced (`OmegaConf.merge`). Where a file chooses another variant of a
block (`optimizer.name`, `data.source`), the settings written for the old one are dropped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ftune.config.fields import Spec, settings_of
from ftune.config.tree import MAX_BYTES, Mark, Node, parse, read_text
from ftune.errors import ConfigError, Problem, RequestError
from ftune.places import expanded, url_fault

KEY = "extends"
MAX_CHAIN = 8
MAX_FILES = 32
MAX_VALUES = 10_000
"""Bounds of a chain of files, of all files together (one read twice counts twice), their values."""


@dataclass(frozen=True)
class Composed:
    """A configuration merged from its files.

    folders: name of each file -> the folder that its relative paths start from. dropped: one
    sentence for each setting of an extended file that a change of variant has dropped.
    """

    root: Node
    folders: Mapping[str, Path]
    dropped: Sequence[str]


def compose(path: Path, schema: type) -> Composed:
    """Reads a file with all that it extends; `schema` tells which mappings are blocks of variants.

    Raises ConfigError, with the file and line at fault, RequestError where `path` is unreadable.
    """
    files = _Files()
    layers = files.layers(path, str(path), ())
    if len(layers) == 1:  # perhaps no mapping: the reader says so
        return Composed(layers[0], files.folders, ())
    dropped = [
        sentence
        for upper in range(1, len(layers))
        for sentence in _drop_old_variants(layers[:upper], layers[upper], schema, "")
    ]
    return Composed(_merged(layers), files.folders, dropped)


_Above = tuple[Path, str, Mark]  # a file's real path, its name in messages, its `extends`


@dataclass
class _Files:
    """Reads files with what they extend, within the bounds."""

    folders: dict[str, Path] = field(default_factory=dict)
    count: int = 0
    bytes: int = 0
    values: int = 0

    def layers(self, path: Path, source: str, chain: tuple[_Above, ...]) -> list[Node]:
        """Return the trees of all files, each after those that it extends; `path`'s is the last.

        source: the file's name in messages. chain: the files above.
        """
        text, real = read_text(path), Path(os.path.realpath(path))
        root = parse(text, source)
        self.folders[source] = real.parent
        if not isinstance(root.value, dict):
            if chain:
                raise _refused(root.mark, "a configuration is a mapping of keys to values", "type")
            return [root]
        named = root.value.pop(KEY, Node(None, root.mark))
        mark = root.keys.pop(KEY, chain[-1][2] if chain else root.mark)
        names, chain = _names(named), (*chain, (real, source, mark))
        self.count += 1
        self.bytes += len(text)
        self.values += sum(1 for _ in root.walk())
        if self.bytes > MAX_BYTES or (self.values > MAX_VALUES and (names or len(chain) > 1)):
            bounds = f"{MAX_VALUES:,} values or {MAX_BYTES:,} bytes"
            raise _refused(mark, f"the files together have more than {bounds}")
        return [
            *(layer for name in names for layer in self._parent(name, real.parent, chain)),
            root,
        ]

    def _parent(self, name: Node, folder: Path, chain: tuple[_Above, ...]) -> list[Node]:
        text = str(name.value)
        if fault := url_fault(text) or _unread(text):
            raise _refused(name.mark, fault)
        path = Path(os.path.realpath(folder / expanded(text)))
        source = _shown(path)
        if path in [above for above, _, _ in chain]:
            names = " → ".join([*(above for _, above, _ in chain), source])
            raise _refused(name.mark, f"the files extend each other: {names}", "conflict")
        if len(chain) >= MAX_CHAIN or self.count >= MAX_FILES:
            bounds = f"a chain of {MAX_CHAIN} files, {MAX_FILES} in all"
            raise _refused(name.mark, f"{source}: too many files extended; at most {bounds}")
        if not os.path.isfile(path):  # noqa: PTH113  (a name too long is no error)
            fault = "is not a regular file" if os.path.lexists(path) else "no such file"
            raise _refused(name.mark, f"{source}: {fault}")
        try:
            return self.layers(path, source, chain)
        except ConfigError:
            raise
        except RequestError as error:
            raise _refused(name.mark, str(error)) from None


def _names(node: Node) -> list[Node]:
    """Return the names under `extends`: one or a list. Raises ConfigError for anything else."""
    names = node.value if isinstance(node.value, list) else [node] if node.value is not None else []
    for name in names:
        if not isinstance(name.value, str):
            raise _refused(name.mark, "expected the name of a file, or a list of names", "type")
    return names


def _unread(name: str) -> str:
    """Return why a name is read as it stands, or nothing."""
    if "${" in name:
        return "`${…}` refers to the composed configuration, so a file to extend cannot be named so"
    return "the name of a file has no NUL" if "\0" in name else ""


def _shown(path: Path) -> str:
    """Return a real path as messages name it: from where the user stands, if it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _refused(mark: Mark, message: str, kind: str = "value") -> ConfigError:
    return ConfigError([Problem(str(mark), KEY, kind, message)])


def _drop_old_variants(
    below: Sequence[Node], upper: Node, schema: type, path: str
) -> Iterator[str]:
    """Delete from lower layers what was set for a variant that `upper` replaces; yield sentences.

    A bare name over or under a mapping (`optimizer: sgd`) becomes a mapping, so that they merge.
    """
    settings = settings_of(schema)
    for name, node in upper.value.items():
        lower = [layer.value[name] for layer in below if name in layer.value]
        if name not in settings or not lower:
            continue
        spec, key = settings[name].spec, f"{path}{name}"
        if spec.inline:
            if node.plain() != lower[-1].plain():
                yield from _drop(below, settings, path.rstrip("."), node.mark)
            continue
        nested = spec.schema if spec.kind == "group" else None
        if spec.kind == "block":
            for block in (node, *lower):
                if isinstance(block.value, str):
                    block.open(spec.name_key)
            old, new = _chosen(lower, spec) or spec.variant, _chosen([node], spec)
            if new and old and new != old:
                yield from _drop(lower, (), key, node.value[spec.name_key].mark)
            chosen = new or old
            nested = spec.table.get(chosen)
        if nested is not None and isinstance(node.value, dict):
            mappings = [block for block in lower if isinstance(block.value, dict)]
            yield from _drop_old_variants(mappings, node, nested, f"{key}.")


def _chosen(blocks: Sequence[Node], spec: Spec) -> str:
    """Return the variant that the last of `blocks` names; empty where none does."""
    mappings = [block.value for block in blocks if isinstance(block.value, dict)]
    names = [str(block[spec.name_key].plain()) for block in mappings if spec.name_key in block]
    return names[-1] if names else ""


def _drop(blocks: Sequence[Node], own: Any, path: str, mark: Mark) -> Iterator[str]:
    """Delete the settings of a variant but those in `own`; `mark`: where another was chosen."""
    for block in blocks:
        for name in [name for name in block.value if name not in own]:
            where = block.keys.pop(name)
            del block.value[name]
            if name != "name":
                yield f"{path}.{name} ({where}) is dropped: {mark} chooses another variant"


class _Leaf:
    """A node that OmegaConf takes as it is: no interpolation, no conversion, no copy."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def __deepcopy__(self, memo: object) -> _Leaf:
        return self


def _merged(layers: Sequence[Node]) -> Node:
    """Return one tree of all layers, the later over the earlier, each value with its own place."""
    marks: dict[tuple[str, ...], tuple[Mark, dict[str, Mark]]] = {}
    trees = [
        OmegaConf.create(_boxed(layer, (), marks), flags={"allow_objects": True})
        for layer in layers
    ]
    merged = OmegaConf.to_container(OmegaConf.unsafe_merge(*trees))
    return _unboxed(merged, (), marks)


def _boxed(node: Node, path: tuple[str, ...], marks: dict[Any, Any]) -> Any:
    if not isinstance(node.value, dict):
        return _Leaf(node)  # a list too: lists are replaced
    marks[path] = (node.mark, {**marks.get(path, ((), {}))[1], **node.keys})
    return {key: _boxed(child, (*path, key), marks) for key, child in node.value.items()}


def _unboxed(value: Any, path: tuple[str, ...], marks: dict[Any, Any]) -> Node:
    if isinstance(value, _Leaf):
        return value.node
    mark, keys = marks[path]
    children = {key: _unboxed(child, (*path, key), marks) for key, child in value.items()}
    return Node(children, mark, {key: keys[key] for key in children})
