"""Values of an axis as a table shows them."""

from __future__ import annotations

from typing import Any

from ftune.search.space import Axis, Choices


def label(value: Any, axis: Axis) -> str:
    """A value as text that no other value of its axis has; of a block its name, if that is enough.

    Two blocks of one name are told apart by their settings: `sgd(lr=0.1)`, `sgd(lr=0.1,
    momentum=0.9)`.
    """
    if not isinstance(value, dict) or "name" not in value:
        return str(value)
    values = axis.values if isinstance(axis, Choices) else ()
    alike = [other for other in values if _name(other) == value["name"]]
    settings = ", ".join(f"{key}={item}" for key, item in value.items() if key != "name")
    enough = all(other == value for other in alike) or not settings
    return str(value["name"]) if enough else f"{value['name']}({settings})"


def _name(value: Any) -> Any:
    return value.get("name") if isinstance(value, dict) else value
