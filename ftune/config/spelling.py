"""The nearest accepted name, for typing errors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def distance(a: str, b: str) -> int:
    """Optimal string alignment distance: insert, delete, replace, swap neighbours."""
    before: list[int] = []
    previous = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        current = [i]
        for j, y in enumerate(b, 1):
            best = min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                best = min(best, before[j - 2] + 1)
            current.append(best)
        before, previous = previous, current
    return previous[-1]


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The closest choice within two edits, else one that reads alike, else None."""
    known = [c for c in choices if c]
    folded = word.lower().replace("-", "_")
    scored = sorted((distance(folded, c.lower()), abs(len(c) - len(word)), c) for c in known)
    if scored and scored[0][0] <= _edits(folded, scored[0][2].lower()):
        return scored[0][2]
    alike = difflib.get_close_matches(folded, known, n=1, cutoff=0.75)
    return alike[0] if alike else None


def nearest_part(word: str, names: Sequence[str]) -> tuple[str, str] | None:
    """What reads most like a word among the parts of dotted names, and the first such name."""
    parts: dict[str, str] = {}
    steps = word.count(".") + 1
    for name in names:
        path = name.split(".")
        for begin in range(len(path) - steps + 1):
            parts.setdefault(".".join(path[begin : begin + steps]), name)
    near = nearest(word, parts)
    return (near, parts[near]) if near else None


def _edits(word: str, choice: str) -> int:
    """How many edits still are a typing error: in a short word with another beginning, one."""
    return 1 if len(word) < 4 or (len(word) < 5 and word[0] != choice[0]) else 2


def suggestion(word: str, choices: Iterable[str]) -> str:
    """`did you mean …?` or the choices, as a hint."""
    known = list(choices)
    near = nearest(word, known)
    if near:
        return f"did you mean `{near}`?"
    return "accepted: " + ", ".join(sorted(known)) if known else ""
