"""Prints docs/config.md, the reference of every setting, from the schema itself.

python docs/make_reference.py > docs/config.md
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from ftune.config.document import explain
from ftune.config.fields import Setting, settings_of
from ftune.registry import Table
from ftune.schema.root import RunConfig

HEAD = """\
# Every setting

Written by `python docs/make_reference.py` from the schema; do not edit by hand.
`ftune schema KEY` prints one entry, `ftune schema` the whole as JSON schema.

In a list of transforms or layers an item is `name`, `{name: value}` (the value goes to the first
setting listed) or `{name: value, other: value}`. A block is a mapping, or a bare name where all
defaults do. `key.path=value` on the command line changes a setting, `~key.path` deletes it.
"""


def reference() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_root()]) + "\n"


def _root() -> Iterator[str]:
    for name, setting in settings_of(RunConfig).items():
        yield f"## `{name}`\n\n{explain(setting)}.\n"
        yield from _below(setting, "###")


def _below(setting: Setting, level: str) -> Iterator[str]:
    """The settings that a setting itself holds, and those of every variant of its table."""
    spec = setting.spec
    if spec.schema is not None:
        yield from _settings(spec.schema)
        shown: list[Table] = []  # target_transforms has the table of transforms
        for name, inner in settings_of(spec.schema).items():
            table = inner.spec.table
            if (inner.spec.schema or table) and table not in shown:
                yield f"{level} `{name}`\n"
                yield from _below(inner, level + "#")
                shown += [table] if table else []
    if spec.table:
        yield from _variants(spec.table, level)


def _variants(table: Table, level: str) -> Iterator[str]:
    for name in table:
        schema = table[name]
        yield f"{level} `{name}`\n\n{inspect.cleandoc(schema.__doc__ or '')}\n"
        yield from _settings(schema)
        for inner in settings_of(schema).values():
            if inner.spec.kind == "blocks" and inner.spec.table is not table:
                yield from _variants(inner.spec.table or table, level + "#")


def _settings(schema: type) -> Iterator[str]:
    lines = [f"- `{name}` – {explain(item)}." for name, item in settings_of(schema).items()]
    if lines:
        yield "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference(), end="")  # noqa: T201
