"""Why a key is unknown: mistyped, another block's, another tool's, or a later version's."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ftune.config.fields import settings_of
from ftune.config.spelling import nearest, suggestion
from ftune.config.tree import Mark
from ftune.errors import Problem
from ftune.registry import Table

_POSITION = re.compile(r"\.[0-9]+(?=\.|$)")
_VARIANT = re.compile(r"\(([^)]*)\)")


@dataclass(frozen=True)
class Explainer:
    """Knows every key of a root schema.

    `renamed` maps names that other tools use to ours; `reserved` maps a key or `key=value` that a
    later version will accept to a sentence about it.
    """

    root: type
    renamed: Mapping[str, str]
    reserved: Mapping[str, str]

    def later(self, key: str) -> str:
        return self.reserved.get(key, "")

    def unknown(self, place: Mark, path: str, key: str, accepted: Iterable[str]) -> Problem:
        """The problem of `key` at `path`, with its reason class and what to write instead."""
        choices = list(accepted)
        full = f"{path}.{key}" if path else key
        near = nearest(key, choices)
        kind, hint = "unknown", suggestion(key, choices)
        homes = [home for home in key_homes(self.root).get(key, ()) if home != full]
        later = self.later(_POSITION.sub("", full))
        if later:
            kind, hint = "later", later
        elif (ours := self.renamed.get(key, full)) != full and not full.startswith(f"{ours}."):
            kind, hint = "renamed", f"ftune calls it `{ours}`"
        elif homes and not (near and _same_letters(key, near)):
            kind, hint = "misplaced", f"`{key}` belongs to {_in_words(homes)}"
        elif near:
            kind = "typo"
        return Problem(str(place), full, kind, "is not a setting here", hint)


def _in_words(homes: Iterable[str]) -> str:
    """`optimizer(sgd).momentum` -> "`optimizer.momentum` (sgd, …)", the outer places first."""
    by_place: dict[str, list[str]] = {}
    for home in sorted(homes, key=lambda h: h.count(".")):
        variants = by_place.setdefault(f"`{_VARIANT.sub('', home)}`", [])
        variants += _VARIANT.findall(home)[-1:]
    places = [f"{key} ({', '.join(v[:3])})" if v else key for key, v in by_place.items()]
    return " or ".join(places[:2])


def _same_letters(a: str, b: str) -> bool:
    return sorted(a) == sorted(b)


@functools.cache
def key_homes(root: type) -> Mapping[str, tuple[str, ...]]:
    """Every key of the language -> the places where it is accepted."""
    homes: dict[str, list[str]] = {}
    _collect(root, "", homes, frozenset())
    return {key: tuple(dict.fromkeys(places)) for key, places in homes.items()}


def _collect(schema: type, path: str, homes: dict[str, list[str]], above: frozenset[type]) -> None:
    if schema in above:
        return
    for name, item in settings_of(schema).items():
        full = f"{path}.{name}" if path else name
        homes.setdefault(name, []).append(full)
        if item.spec.schema:
            _collect(item.spec.schema, full, homes, above | {schema})
        if item.spec.table is not None:
            _collect_table(
                item.spec.table, path if item.spec.inline else full, homes, above | {schema}
            )


def _collect_table(
    table: Table, path: str, homes: dict[str, list[str]], above: frozenset[type]
) -> None:
    for name in table:
        _collect(table[name], f"{path}({name})", homes, above)
