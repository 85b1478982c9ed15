"""The columns that a `data:` block names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftune.data.text.templates import Template

if TYPE_CHECKING:
    from ftune.data.schema import Data

TEXTS = ("text", "prompt", "response")


def referenced_columns(data: Data) -> dict[str, list[str]]:
    """The columns that each setting names."""
    columns = {"data.target": list(data.targets)}
    for name in ("group", "time"):
        column = getattr(data.split, name)
        columns[f"data.split.{name}"] = [column] if column else []
    for name in TEXTS:
        text = getattr(data, name)
        columns[f"data.{name}"] = Template(text, f"data.{name}").required if text else []
    columns["data.messages"] = [data.messages.column] if data.messages else []
    columns["data.image"] = [data.image] if data.image else []
    if data.kind == "table":
        columns["data.transforms"] = _of_transforms(data)
    return columns


def _of_transforms(data: Data) -> list[str]:
    """Those of transforms that still see the columns of the file under their own names."""
    columns: list[str] = []
    for step in data.steps:
        if step.names is not None:
            return [*columns, *step.names]
        columns += step.columns or []
    return columns
