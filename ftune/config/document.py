"""What a schema says about itself: JSON schema, the meaning of a key, comments for a file."""

from __future__ import annotations

import dataclasses
import re
import textwrap
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from ftune.config.fields import Setting, Spec, bare, settings_of, walk_settings
from ftune.config.types import describe
from ftune.registry import Table

_JSON_TYPES: dict[Any, str] = {int: "integer", float: "number", bool: "boolean", str: "string"}


def json_schema(schema: type) -> dict[str, Any]:
    """The JSON schema of a mapping read as `schema`, with every variant of every block."""
    return _object(schema) | {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def explain(setting: Setting) -> str:
    """`Meaning (type; default …)` on one line."""
    meaning = " ".join(setting.doc.split()).rstrip(".")
    default = "required" if setting.required else f"default {_default(setting)}"
    return f"{meaning} ({accepts(setting)}; {default})"


def brief(setting: Setting, width: int) -> str:
    """The first thing that is said of a setting, on one line of at most so many characters."""
    meaning = re.split(r"[.;] |[.;:]$", " ".join(setting.doc.split()), maxsplit=1)[0]
    return textwrap.shorten(meaning, width, placeholder=" …")


def accepts(setting: Setting) -> str:
    """The values of a setting in words."""
    spec = setting.spec
    if spec.kind == "plain":
        return describe(setting.type, spec)
    if spec.kind in ("block", "blocks"):
        names = ", ".join(spec.table)
        names = names or "those that --code registers"
        text = f"one of {names}" if spec.kind == "block" else f"a list of {names}"
        return f"{text}, or {' or '.join(spec.words)}" if spec.words else text
    assert spec.schema is not None
    keys = ", ".join(settings_of(spec.schema))
    return f"a list of {{{keys}}}" if spec.kind == "rows" else f"{{{keys}}}"


def find(schema: type, key: str) -> list[tuple[str, Setting]]:
    """Every place where `key` (dotted, or its last part) is a setting, with the setting."""
    places = dict(walk_settings(schema))
    exact = [(path, s) for path, s in places.items() if bare(path) == key]
    return exact or [(path, s) for path, s in places.items() if path.rpartition(".")[2] == key]


def variants(schema: type) -> dict[str, type]:
    """Every variant as `block(name)`, each at the outermost place where it may stand."""
    schemas: dict[str, type] = {}
    for path, item in walk_settings(schema):
        owner = path.rpartition(".")[0] if item.spec.inline else path
        for name, variant in item.spec.table.items():
            if variant not in schemas.values():
                schemas[f"{owner}({name})"] = variant
    return schemas


def _default(setting: Setting) -> str:
    value = setting.default
    if setting.spec.kind == "block" and value is not None:
        return setting.spec.table.name_of(type(value))
    if dataclasses.is_dataclass(value):
        return _group(value) or "none"
    return _spoken(value)


def _group(value: Any) -> str:
    """What a group is by default, but for what is not set."""
    kind: type = type(value)
    items = {name: getattr(value, s.attribute) for name, s in settings_of(kind).items()}
    return ", ".join(f"{key} {_spoken(v)}" for key, v in items.items() if v is not None)


def _spoken(value: Any) -> str:
    """A default as a file would have it."""
    if dataclasses.is_dataclass(value):
        return f"{{{_group(value)}}}"
    if value is None or value in ((), [], {}):
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _object(schema: type, above: frozenset[type] = frozenset()) -> dict[str, Any]:
    settings = settings_of(schema)
    properties = {name: _property(item, above | {schema}) for name, item in settings.items()}
    required = [name for name, item in settings.items() if item.required]
    inline = any(item.spec.inline for item in settings.values())
    document: dict[str, Any] = {"type": "object", "properties": properties}
    document |= {"required": required} if required else {}
    return document if inline else document | {"additionalProperties": False}


def _property(item: Setting, above: frozenset[type]) -> dict[str, Any]:
    spec = item.spec
    document: dict[str, Any] = {"description": explain(item)}
    if spec.kind == "plain":
        return document | _plain(item.type, item)
    if spec.kind == "group":
        assert spec.schema is not None
        return document | {"anyOf": [_object(spec.schema, above), *([{}] if spec.short else [])]}
    if spec.kind == "rows":
        assert spec.schema is not None
        return document | {"type": "array", "items": _object(spec.schema, above)}
    if spec.kind == "block":
        return document | (
            {"enum": list(spec.table)} if spec.inline else _block(spec.table, spec, above)
        )
    items = {"type": "array", "items": {"anyOf": list(_items(spec.table, above))}}
    return (
        document | {"anyOf": [items, {"enum": list(spec.words)}]}
        if spec.words
        else document | items
    )


def _block(table: Table, spec: Spec, above: frozenset[type]) -> dict[str, Any]:
    variants = []
    for name in table:
        variant = _object(table[name], above)
        variant["properties"] = {spec.name_key: {"const": name}, **variant["properties"]}
        required = [
            *([] if name == spec.variant else [spec.name_key]),
            *variant.get("required", []),
        ]
        variants.append(variant | ({"required": required} if required else {}))
    return {"anyOf": [{"enum": list(table)}, *variants]}


def _items(table: Table, above: frozenset[type]) -> Iterator[dict[str, Any]]:
    yield {"enum": list(table)}
    for name in table:
        if table[name] not in above:
            yield {"type": "object", "properties": {name: {}}, "required": [name]}


def _plain(hint: Any, item: Setting) -> dict[str, Any]:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_plain(arg, item) for arg in args]}
    if origin is Literal:
        return {"enum": list(args)}
    if hint is type(None):
        return {"type": "null"}
    if origin in (list, tuple):
        return {"type": "array", "items": _plain(args[0], item)}
    if origin is dict or hint is Any:
        return {"type": "object"} if origin is dict else {}
    spec, bounds = item.spec, {}
    if hint in (int, float):
        limits = {"exclusiveMinimum": spec.above, "exclusiveMaximum": spec.below,
                  "minimum": spec.at_least, "maximum": spec.at_most}  # fmt: skip
        bounds = {name: value for name, value in limits.items() if value is not None}
    return {"type": _JSON_TYPES[hint], **bounds}
