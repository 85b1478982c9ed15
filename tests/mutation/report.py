"""The score of a room, and which mutants lived."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutation.mutants import Mutant
from mutation.results import Result

EQUIVALENT = Path(__file__).with_name("equivalent.txt")
Reasons = dict[tuple[str, str, str, str], str]


def equivalents(text: str) -> Reasons:
    """(file, scope, before, after) -> why no test can tell it from the original.

    A line `FILE SCOPE` is followed by mutants, each indented by two, and their reason by four.
    """
    reasons: Reasons = {}
    home = ("", "")
    waiting: list[tuple[str, str, str, str]] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("    "):
            reasons |= {key: line.strip() for key in waiting}
            waiting = []
        elif line.startswith("  "):
            before, arrow, after = line.strip().partition(" → ")
            assert arrow, f"no arrow in {line!r}"
            waiting.append((*home, before, after))
        else:
            file, _, scope = line.strip().partition(" ")
            home = file, scope
    assert not waiting, f"no reason for {waiting}"
    return reasons


def judged(mutant: Mutant, reasons: Reasons) -> bool:
    """Whether a mutant is among the equivalent ones."""
    return (mutant.file, mutant.scope, mutant.before, mutant.after) in reasons


def wilson(successes: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if not count:
        return 0.0, 1.0
    share, unit = successes / count, z * z / count
    middle = (share + unit / 2) / (1 + unit)
    half = z * math.sqrt(share * (1 - share) / count + unit / (4 * count)) / (1 + unit)
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Score:
    """Of some mutants: how many there are, how many of those not equivalent were noticed."""

    name: str
    noticed: int
    count: int
    equivalent: int
    lived: tuple[str, ...]

    @classmethod
    def of(cls, name: str, pairs: Iterable[tuple[Mutant, Result]], reasons: Reasons) -> Score:
        pairs = list(pairs)
        counted = [(m, r) for m, r in pairs if r.noticed or not judged(m, reasons)]
        lived = tuple(f"{r.status}: {m}" for m, r in counted if not r.noticed)
        return cls(name, len(counted) - len(lived), len(counted), len(pairs) - len(counted), lived)

    @property
    def share(self) -> float:
        return self.noticed / self.count if self.count else 0.0

    def __str__(self) -> str:
        low, high = wilson(self.noticed, self.count)
        return (
            f"{self.name:<11} {self.noticed:>5} of {self.count:<5} {self.share:6.1%}"
            f"  (95 %: {low:.1%} to {high:.1%}), {self.equivalent} equivalent"
        )


def total(scores: Sequence[Score]) -> Score:
    """Of all rooms together."""
    lived = tuple(line for score in scores for line in score.lived)
    return Score(
        "all",
        sum(score.noticed for score in scores),
        sum(score.count for score in scores),
        sum(score.equivalent for score in scores),
        lived,
    )
