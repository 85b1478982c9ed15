"""Patterns of rules: which names they cover, and what may be meant where they cover none."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence

from ftune.adapt.names import parents
from ftune.adapt.schema import Rule
from ftune.config.spelling import nearest, nearest_part


def matches(rule: Rule, name: str) -> bool:
    """Whether a rule's pattern covers a name."""
    if rule.is_regex:
        return re.search(rule.match[1:-1], name) is not None
    return fnmatch.fnmatchcase(name, rule.match)


def no_match(index: int, rule: Rule, names: Sequence[str]) -> str:
    near = near_of(rule.match, names)
    hint = f"did you mean {near}?" if near else "parameters: " + ", ".join(names[:12])
    more = (
        "" if near or len(names) <= 12 else f", … ({len(names)} in all; `ftune model` lists them)"
    )
    return f"adapt.{index}.match: `{rule.match}` matches no parameter; {hint}{more}"


def no_module_to_save(index: int, pattern: str, names: Iterable[str]) -> str:
    paths = sorted({path for name in names for path in parents(name)})
    near = nearest(pattern.strip("*."), paths)
    hint = f"did you mean `{near}`?" if near else f"modules: {', '.join(paths[:12])}"
    return (
        f"adapt.{index}.lora.modules_to_save: `{pattern}` matches no module that has "
        f"parameters; {hint}"
    )


def near_of(pattern: str, names: Sequence[str]) -> str:
    """What may be meant by a pattern that matches nothing: its first word that no name has."""
    words = [word.strip(".") for word in re.split(r"[*?^$\\/|()\[\]+]+", pattern)]
    strange = [word for word in words if word and not any(word in name for name in names)]
    near = nearest_part(strange[0], names) if strange else None
    if near is None:
        return ""
    meant = pattern.replace(strange[0], near[0])
    return f"`{meant}`" if meant == near[1] else f"`{meant}`, as in `{near[1]}`"
