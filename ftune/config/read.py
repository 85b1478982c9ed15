"""A tree of nodes against a schema: the typed object, or every problem at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftune.config.explain import Explainer, quoting, shown
from ftune.config.fields import Setting, Spec, settings_of
from ftune.config.items import ItemError, name_in, settings_in
from ftune.config.spelling import nearest, suggestion
from ftune.config.tree import Mark, Node
from ftune.config.types import WrongValueError, convert, without_words
from ftune.errors import Problem
from ftune.places import expanded, url_fault
from ftune.registry import Table
from ftune.security.redact import notice

MOST_PROBLEMS = 100
"""Unknown keys of a file that are explained."""

_NAME_ELSEWHERE = frozenset({"type", "kind", "class", "class_path", "_target_"})
"""What other tools call the key that chooses a variant."""


class SettingError(ValueError):
    """Raised by a schema's `__post_init__`: a setting that does not go with the others.

    setting: its key in that schema, dotted where it is further down.
    """

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(message)
        self.setting = setting


class _Failed:
    """Stands for a value that could not be read; its problems are already collected."""


FAILED = _Failed()


@dataclass
class Reader:
    """Reads nodes and collects problems.

    folders: what relative paths start from, by the file that they were written in; else where one
    stands. seen: each key that was read, with the place of the key and its setting.
    """

    explain: Explainer
    folders: Mapping[str, Path]
    problems: list[Problem] = field(default_factory=list)
    seen: list[tuple[Mark, Setting]] = field(default_factory=list)

    def schema(self, node: Node, schema: type, path: str, beside: Iterable[str] = ()) -> Any:
        """An object of `schema`, or FAILED. `beside`: other keys that may stand in its block.

        What settings mean together is asked only where every key is known.
        """
        if not isinstance(node.value, dict):
            return self._refuse(node, path, "type", "expected a mapping of settings")
        settings = settings_of(schema)
        values: dict[str, Any] = {}
        meant: set[str] = set()
        inline = next((s for s in settings.values() if s.spec.inline), None)
        if inline:
            values[inline.attribute] = self._inline(node, inline, settings, path)
        else:
            meant = self._unknown_keys(node, settings, path, beside)
        for name, item in settings.items():
            if item.attribute not in values:
                values[item.attribute] = self._setting(node, name, item, path, meant)
        return FAILED if meant else self._construct(schema, values, node, path)

    def _setting(self, node: Node, name: str, item: Setting, path: str, meant: set[str]) -> Any:
        key = f"{path}.{name}" if path else name
        child = node.value.get(name)
        if child is None:
            if item.required and name in meant:
                return FAILED
            if item.required:
                return self._missing(node, key, item.doc.partition("\n")[0])
            return item.default
        self.seen.append((node.place(name), item))
        return self.value(child, item, key)

    def value(self, node: Node, item: Setting, key: str) -> Any:
        """One setting, by its kind."""
        spec = item.spec
        if spec.kind == "plain":
            return self._plain(node, item, key)
        if node.value is None and item.default is None:
            return None
        if spec.kind == "group":
            assert spec.schema
            if spec.short and not isinstance(node.value, dict | list):
                node = node.under(spec.short)
            return self.schema(node, spec.schema, key)
        if spec.kind == "block":
            return self.block(node, spec, key)
        if isinstance(node.value, str) and node.value in spec.words:
            return node.value
        if not isinstance(node.value, list):
            return self._refuse(node, key, "type", "expected a list")
        read = [
            self.schema(child, spec.schema, f"{key}.{i}")
            if spec.schema
            else self.item(child, spec.table, f"{key}.{i}")
            for i, child in enumerate(node.value)
        ]
        return FAILED if FAILED in read else tuple(read)

    def block(self, node: Node, spec: Spec, path: str) -> Any:
        """`name`, `{name: …, settings}`, or settings alone of the default variant.

        Returns an object of the variant's schema.
        """
        key = spec.name_key
        if not isinstance(node.value, dict):
            node = node.under(key)
        name = node.value.get(key) or self._default_name(node, spec, path)
        variant = self._variant(name, spec.table, f"{path}.{key}") if name else None
        if variant is None:
            return FAILED
        rest = {k: child for k, child in node.value.items() if k != key}
        return self.schema(Node(rest, node.mark, node.keys), variant, path)

    def _default_name(self, node: Node, spec: Spec, path: str) -> Node | None:
        """The name of a block that states none; None where it is required or called otherwise."""
        for key in _NAME_ELSEWHERE & node.value.keys():
            hint, at = f"write `{spec.name_key}: {node.value[key].plain()}`", node.place(key)
            self._refuse(Node(None, at), f"{path}.{key}", "renamed", "is not a setting here", hint)
            return None
        if spec.variant:
            return Node(spec.variant, node.mark)
        self._missing(node, f"{path}.{spec.name_key}", f"accepted: {', '.join(spec.table)}")
        return None

    def item(self, node: Node, table: Table, path: str) -> Any:
        """One item of a list of variants."""
        if isinstance(node.value, str):
            node = Node({}, node.mark).under(node.value)
        try:
            name = name_in(node, table)
            variant = self._variant(name, table, path)
            settings = settings_in(node, name.value, variant) if variant else node
        except ItemError as error:
            return self._refuse(error.node, path, "type", str(error))
        return self.schema(settings, variant, path) if variant else FAILED

    def _inline(self, node: Node, item: Setting, settings: Mapping[str, Setting], path: str) -> Any:
        """The variant whose settings stand among those of its block (`data.source`)."""
        table, key = item.spec.table, item.spec.name_key
        name = node.value.get(item.name)
        if name is not None:
            self.seen.append((node.place(item.name), item))
        if name is None:
            every = [setting for variant in table for setting in settings_of(table[variant])]
            if key not in self._unknown_keys(node, settings, path, (), allowed=every):
                self._missing(node, f"{path}.{key}", f"accepted: {', '.join(table)}")
            return FAILED
        variant = self._variant(name, table, f"{path}.{key}")
        own = {k: child for k, child in node.value.items() if k not in settings}
        if variant is None:
            return FAILED
        if name.mark.typed:  # another source was chosen: the file's settings of the old one go
            known = settings_of(variant)
            own = {k: c for k, c in own.items() if k in known or node.keys[k].typed}
        return self.schema(Node(own, node.mark, node.keys), variant, path, beside=settings)

    def _variant(self, name: Node, table: Table, path: str) -> type | None:
        if isinstance(name.value, str) and name.value in table:
            return table[name.value]
        text = str(name.plain())
        hint = suggestion(text, table) or "none is registered; give --code FILE.py"
        kind = "typo" if nearest(text, table) else "unknown"
        self._refuse(name, path, kind, f"there is no {table.block} `{text}`", hint)
        return None

    def _plain(self, node: Node, item: Setting, key: str) -> Any:
        value = node.plain()
        notice(key, value)
        if isinstance(value, dict) and not item.spec.open and "dict" not in str(item.type):
            hint = quoting(value, key, node.mark.typed) if without_words(item.type) is str else ""
            return self._refuse(node, key, "type", "expected a single value, not a mapping", hint)
        try:
            value = convert(value, item.type, item.spec)
        except WrongValueError as error:
            words = (*item.spec.words, *(str(a) for a in getattr(item.type, "__args__", ())))
            near = nearest(value, words) if isinstance(value, str) else None
            kind, hint = ("typo", suggestion(value, words)) if near else ("value", "")
            return self._refuse(node, key, kind, f"`{shown(value, key)}`: {error}", hint)
        if not item.spec.path:
            return value
        try:
            return self._anchored(value, node)
        except WrongValueError as error:
            return self._refuse(node, key, "value", str(error))

    def _anchored(self, value: Any, node: Node) -> Any:
        """A path of the file starts from its folder; a typed one from where the user stands.

        Raises WrongValueError where it is a URL.
        """
        if isinstance(value, dict):
            return {key: self._anchored(part, node.value[key]) for key, part in value.items()}
        if isinstance(value, list):
            return [self._anchored(*pair) for pair in zip(value, node.value, strict=True)]
        if fault := url_fault(value):
            raise WrongValueError(fault)
        folder = self.folders.get(node.mark.source) or Path.cwd()
        return str(folder / expanded(value)) if isinstance(value, str) else value

    def _unknown_keys(
        self, node: Node, settings: Iterable[str], path: str, beside: Iterable[str] = (),
        allowed: Iterable[str] = (),
    ) -> set[str]:  # fmt: skip
        """Reports each unknown key; returns what they probably mean."""
        known, meant = [*settings, *beside], set()
        for key in node.value:
            if len(self.problems) >= MOST_PROBLEMS:  # spelling takes its time
                break
            if key not in [*settings, *allowed]:
                mark = node.place(key)
                self.problems.append(self.explain.unknown(mark, path, key, known))
                meant.add(nearest(key, known) or "")
        return meant

    def _construct(self, schema: type, values: dict[str, Any], node: Node, path: str) -> Any:
        if FAILED in values.values():
            return FAILED
        try:
            return schema(**values)
        except SettingError as error:
            key = f"{path}.{error.setting}".strip(".")
            return self._refuse(node.at(error.setting), key, "conflict", str(error))

    def _missing(self, node: Node, key: str, hint: str) -> _Failed:
        return self._refuse(node, key, "missing", "is required", hint)

    def _refuse(self, node: Node, key: str, kind: str, message: str, hint: str = "") -> _Failed:
        self.problems.append(Problem(str(node.mark), key, kind, message, hint))
        return FAILED
