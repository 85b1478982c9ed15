"""What a fine-tuning says of its base's statistics: which stay, which are fitted anew and why."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ftune.config.fields import Setting, settings_of
from ftune.data import TRANSFORMS
from ftune.data.frame import listed
from ftune.data.lineage import Fit, Fits, Past, agreeing

MOST = 20
"""Names in one list."""


def statistics_notes(
    known: Fits,
    fits: Fits,
    before: Iterable[str],
    now: Iterable[str],
    what: str = "statistics",
) -> list[str]:
    """Which columns keep the statistics in `known`, and which of `fits` were fitted, and why.

    before, now: the raw columns of the base and of the new rows. Of columns that the base did not
    have, nothing is said.
    """
    roots = set(before)
    kept_of, refitted = dict[str, list[str]](), dict[tuple[str, str], list[str]]()
    for name, fit in _each(fits):
        root, transform = fit.past.root, TRANSFORMS.name_of(type(fit.transform))
        if not learns(fit):
            continue
        old = agreeing(known, name, fit.past, fit.transform)
        if old and _same(old.state, fit.state):
            kept_of.setdefault(root, []).append(transform)
        elif old:
            refitted.setdefault((transform, "those of the base lie elsewhere"), []).append(root)
        elif name in known or root in roots:
            refitted.setdefault((transform, _why(known.get(name, ()), fit)), []).append(root)
    unused = _unused(known, fits, {*now, *fits})
    mentioned = {root for roots in (*refitted.values(), *unused.values()) for root in roots}
    return [
        *_kept(kept_of, refitted, what),
        *_refitted(refitted, what),
        *_left(unused, what),
        *_otherwise({n: known[n] for n in known if n in fits and n not in mentioned}, fits),
    ]


def _otherwise(known: Fits, fits: Fits) -> list[str]:
    """Columns of both that other transforms change now, or with other settings."""
    chains = dict[tuple[str, str], list[str]]()
    for name, old in known.items():
        pair = _chain(fits[name]), _chain(old)
        if pair[0] != pair[1]:
            chains.setdefault(pair, []).append(name)
    parts = [f"{listed(names)} ({new}; in the base {old})" for (new, old), names in chains.items()]
    return [f"transformed otherwise than in the base: {'; '.join(parts)}."] if parts else []


def _chain(several: Sequence[Fit]) -> str:
    return spoken([fit.transform for fit in several if fit.transform.touches]) or "nothing"


def _same(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return old.keys() == new.keys() and all(np.array_equal(old[key], new[key]) for key in old)


def _unused(known: Fits, fits: Fits, names: Container[str]) -> dict[str, list[str]]:
    """The columns, by transform, that the base's transform no longer touches."""
    unused = dict[str, list[str]]()
    for name, fit in _each(known):
        still = any(type(new.transform) is type(fit.transform) for new in fits.get(name, ()))
        if learns(fit) and name in names and not still:
            unused.setdefault(TRANSFORMS.name_of(type(fit.transform)), []).append(name)
    return unused


def _left(unused: Mapping[str, Sequence[str]], what: str) -> list[str]:
    parts = [f"{transform} of {listed(names)}" for transform, names in unused.items()]
    return [f"{what} of the base not used, as the file has none: {'; '.join(parts)}."] * bool(parts)


def learns(fit: Fit) -> bool:
    """Whether what is known of the column depends on rows, not on the settings alone."""
    changes = bool(fit.state) and fit.transform.touches
    return changes and bool(fit.transform.learns)


def _each(fits: Fits) -> Iterator[tuple[str, Fit]]:
    yield from ((name, fit) for name, several in fits.items() for fit in several)


def _kept(
    kept: Mapping[str, Sequence[str]], refitted: Mapping[tuple[str, str], Sequence[str]], what: str
) -> list[str]:
    """One sentence: the columns that keep all, then those that keep some."""
    partly = {root for roots in refitted.values() for root in roots}
    whole = [root for root in kept if root not in partly]
    steps = {root: ", ".join(dict.fromkeys(kept[root])) for root in kept if root in partly}
    some = [f"{transforms} of `{root}`" for root, transforms in steps.items()]
    parts = [*([listed(whole)] if whole else []), *some[:MOST]]
    return [f"{what} of the base kept: {'; '.join(parts)}."] if parts else []


def _refitted(refitted: Mapping[tuple[str, str], Sequence[str]], what: str) -> list[str]:
    parts = [
        f"{transform} of {listed(list(dict.fromkeys(roots)))} ({why})"
        for (transform, why), roots in refitted.items()
    ]
    return [f"{what} fitted on the new rows: {'; '.join(parts)}."] if parts else []


def _why(known: Sequence[Fit], fit: Fit) -> str:
    """Why a base's statistics of a column, if it has any, are not those that are needed."""
    alike = [old for old in known if type(old.transform) is type(fit.transform)]
    if not alike:
        return "the base has none"
    near = next((old for old in alike if old.past.before == fit.past.before), alike[0])
    if near.past.kind != fit.past.kind:
        return f"{fit.past.kind}s here, {near.past.kind}s in the base"
    if near.past.before != fit.past.before:
        return f"here {_after(fit.past)}, in the base {_after(near.past)}"
    return _differing(fit.transform, near.transform)


def _after(past: Past) -> str:
    return f"after {spoken(past.before)}" if past.before else "first"


def _differing(new: Any, old: Any) -> str:
    """`quantiles 10, in the base 1000`: the settings in which two transforms of a kind differ."""
    pairs = [
        (name, getattr(new, item.attribute), getattr(old, item.attribute))
        for name, item in _settings(new).items()
    ]
    return "; ".join(f"{n} {_value(a)}, in the base {_value(b)}" for n, a, b in pairs if a != b)


def spoken(transforms: Sequence[Any]) -> str:
    """`log, clip {quantile: 0.01}`: transforms with the settings that are not the usual ones."""
    return ", ".join(_spoken(transform) for transform in transforms)


def _spoken(transform: Any) -> str:
    settings = [
        f"{name}: {_value(getattr(transform, item.attribute))}"
        for name, item in _settings(transform).items()
        if getattr(transform, item.attribute) != item.default
    ]
    name = TRANSFORMS.name_of(type(transform))
    return f"{name} {{{', '.join(settings)}}}" if settings else name


def _settings(transform: Any) -> Mapping[str, Setting]:
    schema: type = type(transform)
    return settings_of(schema)


def _value(value: Any) -> str:
    """As a file would have it."""
    if isinstance(value, bool) or value is None:
        return "null" if value is None else str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
