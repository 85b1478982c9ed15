"""A typed configuration back to plain values, as a file that reproduces it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import yaml

from ftune.config.fields import Setting, settings_of
from ftune.config.tree import Mark, Node, scalar
from ftune.config.types import without_words
from ftune.registry import Table
from ftune.security.redact import redact_tree, stored


def dump(config: Any) -> dict[str, Any]:
    """Every setting of `config` with its value, in the shape that a file has."""
    result: dict[str, Any] = {}
    schema: type = type(config)
    for name, item in settings_of(schema).items():
        value = getattr(config, item.attribute)
        if item.spec.inline and value is not None:
            result |= {name: item.spec.table.name_of(type(value)), **dump(value)}
        elif item.spec.stored:
            result[name] = _dump_value(value, item)
    return result


def _dump_value(value: Any, item: Setting) -> Any:
    spec = item.spec
    if value is None or isinstance(value, str):
        return value
    if spec.kind == "group":
        return dump(value)
    if spec.kind == "rows":
        return [{k: v for k, v in dump(row).items() if v is not None} for row in value]
    if spec.kind == "block":
        return {spec.name_key: spec.table.name_of(type(value)), **dump(value)}
    if spec.kind == "blocks":
        return [_dump_item(variant, spec.table) for variant in value]
    if isinstance(value, int) and without_words(item.type) is float:
        return float(value)  # as `parse` and `convert` will read it: the same text each time
    return list(value) if isinstance(value, tuple) else value


def _dump_item(value: Any, table: Table) -> Any:
    """One item of a list of variants, with only what differs from the defaults."""
    schema: type = type(value)
    settings = settings_of(schema)
    changed = {
        name: _dump_value(getattr(value, item.attribute), item)
        for name, item in settings.items()
        if item.default is dataclasses.MISSING or getattr(value, item.attribute) != item.default
    }
    name = table.name_of(type(value))
    first = next(iter(settings), None)
    if first in changed and settings[first].spec.open:
        return {name: changed.pop(first), **changed}
    return {name: changed} if changed else name


def to_yaml(plain: object) -> str:
    """Plain values as YAML text, keys in the order given, numbers as `parse` reads them.

    Of a configuration, what was read from the environment is a reference again.
    """
    plain = stored(plain) if isinstance(plain, dict) else redact_tree(plain)
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def annotated(root: Node) -> str:
    """Return a tree as YAML text, behind each value a comment with the place it was written at."""
    lines = to_yaml(root.plain()).split("\n")
    for line, mark in _ends(yaml.compose("\n".join(lines), Loader=yaml.SafeLoader), root):
        lines[line] += f"  # {' '.join(str(mark).split())}"
    return "\n".join(lines)


def _ends(written: Any, node: Node) -> Iterator[tuple[int, Mark]]:
    """Yield the last line of each value in a text, and where the value comes from."""
    if not node.value or not isinstance(node.value, dict | list):
        yield written.end_mark.line, node.mark
        return
    if isinstance(node.value, dict):
        pairs = zip([value for _, value in written.value], node.value.values(), strict=True)
    else:
        pairs = zip(written.value, node.value, strict=True)
    for value, child in pairs:
        yield from _ends(value, child)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    mantissa, e, exponent = repr(value).partition("e")
    text = f"{mantissa}.0e{exponent}" if e and "." not in mantissa else repr(value)
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    """Quoted where `parse` would read something else, such as `1e-4`."""
    style = "'" if scalar(value) != value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(float, _float)
_Dumper.add_representer(str, _text)
