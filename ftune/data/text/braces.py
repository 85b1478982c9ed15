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
        bare = (form or "").replace("{}", "", 1)
        optional = bare != form and not set("{}") & set(bare)
        if name == "" or conversion or (form and not optional):
            return (
                f"`{{{name or ''}{f':{form}' if form else ''}}}`: in braces stands the name of a"
                " column, or `{name:text {}}` for text that is left out where the column is empty;"
                " `{{` and `}}` are braces themselves"
            )
    return ""
