"""What happened to a column before a step: a statistic belongs to a column after its past.

Statistics of a base are taken over only where the pasts and the settings of the step agree: the
mean of amounts is not that of their logarithms, whatever the column is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ftune.data.frame import State
from ftune.data.transforms.columns import Rename


@dataclass(frozen=True)
class Step:
    """One transform with what it learnt."""

    transform: Any
    state: State


@dataclass(frozen=True)
class Past:
    """A column before a step.

    root: the raw column that it was made from, as its file calls it. kind: what that holds
    (Frame.kind). before: the transforms that touched it, in order, without their `columns`.
    """

    root: str
    kind: str
    before: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Fit:
    """What a transform (without its `columns`) learnt of a column after its past."""

    past: Past
    transform: Any
    state: dict[str, Any]

    def agrees(self, past: Past, transform: Any) -> bool:
        """Whether its statistics are what `transform` would be given for a column of `past`."""
        same = self.past.kind == past.kind and self.past.before == past.before
        return same and bool(self.transform == bare(transform))


Fits = Mapping[str, Sequence[Fit]]
"""By the column's name at the step."""


class Lineage:
    """The past of each column that there is, by its name, while steps are taken."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        """kinds: what each raw column holds (Frame.kind)."""
        self.pasts = {name: Past(name, kind) for name, kind in kinds.items()}

    def of(self, name: str) -> Past:
        """The past of a column; one that nothing tells of agrees with none."""
        return self.pasts.get(name, Past(name, ""))

    def known_to(self, fits: Fits, transform: Any) -> State:
        """The states in `fits` that `transform` may take over, by column."""
        pairs = [(name, agreeing(fits, name, past, transform)) for name, past in self.pasts.items()]
        return {name: fit.state for name, fit in pairs if fit is not None}

    def take(self, transform: Any, state: State) -> None:
        """Goes on to after a step."""
        if isinstance(transform, Rename):
            moved = {column["new"]: self.of(old) for old, column in state.items()}
            rest = {name: past for name, past in self.pasts.items() if name not in state}
            self.pasts = rest | moved
        elif transform.touches:
            for name, column in state.items():
                past = self.of(name)
                after = replace(past, before=(*past.before, bare(transform)))
                results = transform.makes(name, column)
                self.pasts |= dict.fromkeys((name, *results), after)


def agreeing(fits: Fits, name: str, past: Past, transform: Any) -> Fit | None:
    """What was learnt of the column `name` after the same past with the same settings."""
    return next((fit for fit in fits.get(name, ()) if fit.agrees(past, transform)), None)


def bare(transform: Any) -> Any:
    """A transform without its choice of columns, which says nothing about any one of them."""
    return transform if transform.columns is None else replace(transform, columns=None)
