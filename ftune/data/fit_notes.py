"""What fitted transforms have to say: columns and categories that they left out or changed."""

from __future__ import annotations

from collections.abc import Sequence

from ftune.data.lineage import Step


def fit_notes(steps: Sequence[Step], prior: Sequence[Step] = ()) -> list[str]:
    """One sentence for each kind of change, about the columns whose statistics are not `prior`'s.

    A transform tells of its state by `notes(state) -> list[str]`; statistics that are taken over
    were told of when the base was trained.
    """
    known = {id(column) for step in prior for column in step.state.values()}
    notes: list[str] = []
    for step in steps:
        own = {name: column for name, column in step.state.items() if id(column) not in known}
        notes += step.transform.notes(own)
    return notes
