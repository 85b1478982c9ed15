"""Why a key is unknown: mistyped, another block's, another tool's, or a later version's."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ftune.config.fields import bare, walk_settings
from ftune.config.spelling import nearest, suggestion
from ftune.config.tree import Mark
from ftune.errors import Problem
from ftune.security.redact import redact_tree

_POSITION = re.compile(r"\.[0-9]+(?=\.|$)")
_VARIANT = re.compile(r"\(([^)]*)\)")


@dataclass(frozen=True)
class Explainer:
    """Knows every key of a root schema.

    `renamed` maps names that other tools use to ours; `reserved` maps a key that a later version
    will accept to a sentence about it.
    """

    root: type
    renamed: Mapping[str, str]
    reserved: Mapping[str, str]

    def unknown(self, place: Mark, path: str, key: str, accepted: Iterable[str]) -> Problem:
        """The problem of `key` at `path`, with its reason class and what to write instead."""
        choices = list(accepted)
        full = f"{path}.{key}" if path else key
        near = nearest(key, choices)
        kind, hint = "unknown", suggestion(key, choices)
        homes = [home for home in key_homes(self.root).get(key, ()) if home != full]
        later = self.reserved.get(_POSITION.sub("", full))
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
        variants = by_place.setdefault(f"`{bare(home)}`", [])
        variants += _VARIANT.findall(home)[-1:]
    places = [f"{key} ({', '.join(v[:3])})" if v else key for key, v in by_place.items()]
    return " or ".join(places[:2])


def _same_letters(a: str, b: str) -> bool:
    return sorted(a) == sorted(b)


@functools.cache
def key_homes(root: type) -> Mapping[str, tuple[str, ...]]:
    """Return every key of the language with the places where it is accepted."""
    homes: dict[str, dict[str, None]] = {}
    for path, item in walk_settings(root):
        homes.setdefault(item.name, {})[path] = None
    return {key: tuple(places) for key, places in homes.items()}


def shown(value: Any, key: str) -> str:
    """A value as it may stand in a message: in the words of a file, and not too long."""
    value = redact_tree(value, key.rpartition(".")[2])  # whole: a half is no longer recognised
    text = "null" if value is None else str(value)
    text = text.lower() if isinstance(value, bool) else text
    return text if len(text) <= 40 else f"{text[:40]}…"


def quoting(value: Mapping[str, Any], key: str, typed: bool) -> str:
    """How a text such as `{output}` is written, which YAML takes for a mapping; else empty."""
    if len(value) != 1 or next(iter(value.values())) is not None:
        return ""
    text = f'"{{{next(iter(value))}}}"'
    return f"quote it, for the shell too: '{key}={text}'" if typed else f"quote it: {text}"
