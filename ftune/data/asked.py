"""The columns that a `data:` block names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftune.data.text.templates import Template

if TYPE_CHECKING:
    from ftune.data.schema import Data

TEXTS = ("text", "prompt", "response")


def asked(data: Data) -> dict[str, list[str]]:
    """The columns that each setting names."""
    found = {"data.target": list(data.targets)}
    for name in ("group", "time"):
        column = getattr(data.split, name)
        found[f"data.split.{name}"] = [column] if column else []
    for name in TEXTS:
        text = getattr(data, name)
        found[f"data.{name}"] = Template(text, f"data.{name}").required if text else []
    found["data.messages"] = [data.messages.column] if data.messages else []
    found["data.image"] = [data.image] if data.image else []
    if data.kind == "table":
        found["data.transforms"] = _of_transforms(data)
    return found


def _of_transforms(data: Data) -> list[str]:
    """Those of transforms that still see the columns of the file under their own names."""
    found: list[str] = []
    for step in data.steps:
        if step.names is not None:
            return [*found, *step.names]
        found += step.columns or []
    return found
