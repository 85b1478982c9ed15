"""How a template may be written: names of columns in braces."""

from __future__ import annotations

from string import Formatter


def faults(text: str) -> str:
    """Why a text is no template, in words; empty where it is one."""
    try:
        parsed = list(Formatter().parse(text))
    except ValueError as error:
        return f"{str(error).lower()}; write a column as `{{name}}` and a brace as `{{{{` or `}}}}`"
    for _, name, form, conversion in parsed:
        if name == "" or form or conversion:
            return (
                f"`{{{name or ''}{f':{form}' if form else ''}}}`: only the name of a column stands"
                " in braces; `{{` and `}}` are braces themselves"
            )
    return ""
