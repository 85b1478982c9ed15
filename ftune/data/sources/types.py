"""What a value of `types` may be; read without the libraries that parse."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

KINDS = ("number", "text", "date")
PARTS = "aAbBdHIjmMpSyYT"
"""Directives of strptime that Arrow reads."""


def kind_of(declared: str | Mapping[str, str]) -> str:
    """number, text or date."""
    return declared if isinstance(declared, str) else next(iter(declared))


def fault_in(declared: Any) -> str:
    """What is wrong with it; empty where nothing is."""
    if isinstance(declared, str):
        return "" if declared in KINDS else f"expected one of {', '.join(KINDS)}"
    if not isinstance(declared, dict) or len(declared) != 1 or {*declared} - {"date", "number"}:
        return 'expected {date: "%d/%m/%Y"} or {number: "%"}'
    ((kind, written),) = declared.items()
    if not isinstance(written, str) or not written.strip():
        return f"expected a text after `{kind}:`"
    if kind == "number":
        return "a sign holds no digits" if re.search(r"\d", written) else ""
    return _unread(written)


def _unread(written: str) -> str:
    """The first directive of a format that is not read, or that there is none."""
    parts = re.findall(r"%(.?)", written)
    odd = next((part for part in parts if not part or part not in PARTS), None)
    if odd is not None:
        return f"`%{odd}` is not read; known: {' '.join(f'%{part}' for part in PARTS)}"
    return "" if parts else "it names no part of a date; write it as `%d/%m/%Y`"
