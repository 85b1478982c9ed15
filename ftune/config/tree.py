"""YAML text as a tree that remembers where each value was written.

The text is composed once, never constructed: no tag can name a class. Size, depth, aliases and
duplicate keys are checked before anything is built, so that an alias bomb ends at once.
Scalars follow YAML 1.2: `1e-4` is a number, `yes` and `12:30:45` are strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ftune.errors import ConfigError, Problem, RequestError
from ftune.places import url_fault

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_NODES = 20_000

_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan"), ".NaN": float("nan"),
}  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """Where something was written: a file with line and column (from 1), or the command line."""

    source: str
    line: int = 0
    column: int = 0

    @property
    def typed(self) -> bool:
        """Whether it comes from the command line."""
        return not self.line

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass
class Node:
    """A value with its place. `value` is a scalar, a list of nodes or a dict of nodes.

    `keys` holds the place of each key of a mapping.
    """

    value: Any
    mark: Mark
    keys: dict[str, Mark] = field(default_factory=dict)

    def place(self, key: str) -> Mark:
        """Return where a key of this mapping stands, or the mapping."""
        return self.keys.get(key, self.mark)

    def at(self, key: str) -> Node:
        """Return what stands at a dotted key, or the innermost mapping where it is absent."""
        first, _, rest = key.partition(".")
        child = self.value.get(first) if isinstance(self.value, dict) else None
        return (child.at(rest) if rest else child) if child else self

    def under(self, key: str) -> Node:
        """Return a mapping that holds this node alone."""
        return Node({key: self}, self.mark, {key: self.mark})

    def open(self, key: str = "name") -> None:
        """Make a mapping of a bare name: `optimizer: adamw` becomes `optimizer: {name: adamw}`."""
        if not isinstance(self.value, dict):
            self.value = {} if self.value is None else {key: Node(self.value, self.mark)}
            self.keys = dict.fromkeys(self.value, self.mark)

    def plain(self) -> Any:
        """The value without its places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def walk(self, path: str = "") -> Iterator[tuple[str, Node]]:
        """Every node below and including this one, with its dotted path."""
        yield path, self
        items: Any = ()
        if isinstance(self.value, dict):
            items = self.value.items()
        elif isinstance(self.value, list):
            items = enumerate(self.value)
        for key, node in items:
            yield from node.walk(f"{path}.{key}" if path else str(key))


def read_text(path: Path) -> str:
    """Return the text of a configuration file. Raises RequestError where there is none."""
    if fault := url_fault(path):
        raise RequestError(fault)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)  # a device has no end, and no size before it
        if len(content) > MAX_BYTES:
            raise RequestError(f"{path}: larger than {MAX_BYTES:,} bytes, not a configuration")
        return content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise RequestError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise RequestError(f"{path}: not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise RequestError(f"{path}: {error.strerror}") from None


def parse(text: str, source: str) -> Node:
    """Reads one YAML document. Raises ConfigError with the place of the first fault."""
    if len(text) > MAX_BYTES:
        raise _error(Mark(source, 1, 1), f"the file is larger than {MAX_BYTES:,} bytes")
    try:
        _check_depth(text, source)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Mark(source, mark.line + 1, mark.column + 1) if mark else Mark(source, 1, 1)
        raise _error(where, f"not valid YAML: {_reason(error)}") from None
    except yaml.YAMLError as error:
        raise _error(Mark(source, 1, 1), f"not valid YAML: {str(error).splitlines()[0]}") from None
    if root is None:
        return Node({}, Mark(source, 1, 1))
    return _Builder(source).build(root, "")


def parse_value(text: str, mark: Mark) -> Node:
    """Reads the value of one `key=value`; a text that is not YAML is taken as a string."""
    try:
        node = parse(text, str(mark))
    except ConfigError:
        return Node(text, mark)
    if node.value == {} and text.strip() != "{}":
        return Node(None, mark)
    return node_of(node.plain(), mark)


def node_of(value: Any, mark: Mark) -> Node:
    """A plain value as nodes that all share one place."""
    if isinstance(value, dict):
        children = {str(key): node_of(item, mark) for key, item in value.items()}
        return Node(children, mark, dict.fromkeys(children, mark))
    if isinstance(value, list | tuple):
        return Node([node_of(item, mark) for item in value], mark)
    return Node(value, mark)


def _check_depth(text: str, source: str) -> None:
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        if count > 3 * MAX_NODES:  # of a mapping also the keys, of a list also its end
            raise _error(Mark(source, 1, 1), f"more than {MAX_NODES:,} values")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            mark = event.start_mark
            assert mark is not None
            raise _error(
                Mark(source, mark.line + 1, mark.column + 1),
                f"nested deeper than {MAX_DEPTH} levels",
            )


def _reason(error: yaml.MarkedYAMLError) -> str:
    reason = error.problem or error.context or ""
    return "indent with spaces, not with a tab" if r"'\t'" in reason else reason


class _Builder:
    """Turns composed YAML nodes into Nodes, counting them so that aliases cannot explode."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.count = 0

    def build(self, node: yaml.Node, path: str) -> Node:
        mark = self.mark(node)
        self.count += 1
        if self.count > MAX_NODES or path.count(".") > MAX_DEPTH:
            raise _error(mark, f"aliases expand to more than {MAX_NODES:,} values")
        if not node.tag.startswith("tag:yaml.org,2002:") or "python" in node.tag:
            raise _error(mark, f"the tag {node.tag} is not accepted: a file cannot name code", path)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return Node([self.build(n, f"{path}.{i}") for i, n in enumerate(node.value)], mark)
        assert isinstance(node, yaml.ScalarNode)
        quoted = node.style is not None
        return Node(node.value if quoted else scalar(node.value), mark)

    def _mapping(self, node: yaml.MappingNode, path: str) -> Node:
        children: dict[str, Node] = {}
        keys: dict[str, Mark] = {}
        for key_node, value_node in node.value:
            where = self.mark(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                raise _error(where, "a key must be a single word", path)
            key = str(key_node.value)
            if key in children:
                raise _error(where, f"the key stands here twice (first at {keys[key]})", key)
            children[key] = self.build(value_node, f"{path}.{key}")
            keys[key] = where
        return Node(children, self.mark(node), keys)

    def mark(self, node: yaml.Node) -> Mark:
        return Mark(self.source, node.start_mark.line + 1, node.start_mark.column + 1)


def scalar(text: str) -> Any:
    """An unquoted word as YAML 1.2 reads it; PyYAML would follow YAML 1.1."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text) and len(text) < 400:
        return int(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        return float(text.replace("_", ""))
    return text


def _error(mark: Mark, message: str, key: str = "(file)") -> ConfigError:
    return ConfigError([Problem(str(mark), key.strip(".") or "(file)", "syntax", message)])
