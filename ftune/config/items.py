"""One item of a list of variants: `name`, `{name: value}` or `{name: {settings}, setting: …}`."""

from __future__ import annotations

from ftune.config.fields import settings_of
from ftune.config.tree import Node
from ftune.registry import Table


class ItemError(ValueError):
    """An item that names no variant, several, or gives a value to one that takes none."""

    def __init__(self, node: Node, message: str) -> None:
        super().__init__(message)
        self.node = node


def name_in(node: Node, table: Table) -> Node:
    """Return the name of the variant in a mapping, perhaps one that `table` lacks.

    Raises ItemError where the mapping names several.
    """
    if not isinstance(node.value, dict) or not node.value:
        raise ItemError(node, f"expected one of {', '.join(table)}")
    names = [key for key in node.value if key in table]
    if len(names) > 1:  # one may be a setting of the other
        names = [
            key for key in names
            if not any(key in settings_of(table[other]) for other in names if other != key)
        ]  # fmt: skip
    if len(names) > 1:
        raise ItemError(node, f"names {' and '.join(names)}; one item of the list is one of them")
    name = names[0] if names else next(iter(node.value))
    return Node(name, node.place(name))


def settings_in(node: Node, name: str, variant: type) -> Node:
    """Return the settings of an item: those beside the name with those, or the value, under it."""
    settings = settings_of(variant)
    inner: Node = node.value[name]
    rest = {key: child for key, child in node.value.items() if key != name}
    keys = {key: node.keys[key] for key in rest}
    first = next(iter(settings), None)
    takes_mapping = first is not None and settings[first].spec.open  # `rename: {old: new}`
    if isinstance(inner.value, dict) and not takes_mapping:
        rest |= inner.value
        keys |= inner.keys
    elif inner.value is not None or first is None:
        if first is None:
            raise ItemError(inner, f"`{name}` takes no value")
        rest[first] = inner
        keys[first] = inner.mark
    return Node(rest, node.keys[name], keys)
