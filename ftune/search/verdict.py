"""What the trials of a sweep say: a comparison of best values, without a statistical claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ftune.engine.selection import Selection
from ftune.schema.search import Sweep
from ftune.search.space import Axis, Choices, Range, parse_space
from ftune.search.study import Trial, ranked

MOST_LISTED = 10


def verdict(sweep: Sweep, trials: Sequence[Trial], selection: Selection) -> dict[str, Any]:
    """The best of each scientific setting, and the settings whose best lies at an end.

    A setting whose trials were all pruned or failed stands in the list with what it reached.
    `trials` counts trainings: one whose result several trials share is one.
    """
    space = parse_space(sweep)
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        names = [f"{key}={label(trial.params[key], space[key])}" for key in sweep.scientific]
        groups.setdefault(", ".join(names), []).append(trial)
    rows = [_row(name, members, selection) for name, members in groups.items()]
    rows.sort(key=lambda row: (row["best"] is None, selection.cost(row["best"] or 0.0)))
    return {
        "question": sweep.question,
        "by_setting": rows,
        "edges": _edges(sweep, ranked(trials, selection)),
    }


def repeated(trials: Sequence[Trial]) -> list[str]:
    """Sentences: which trials were not trained, as an earlier one has the same settings."""
    groups: dict[int, list[int]] = {}
    for trial in trials:
        if trial.same_as is not None:
            groups.setdefault(trial.same_as, []).append(trial.number)
    return [
        f"{_listed(numbers)} {'has' if len(numbers) == 1 else 'have'} the settings of trial "
        f"{original} and {'takes' if len(numbers) == 1 else 'take'} over its result; nothing was "
        "trained again"
        for original, numbers in groups.items()
    ]


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:MOST_LISTED]))
    shown += f", … ({len(numbers)} trials)" if len(numbers) > MOST_LISTED else ""
    return f"trial {shown}" if len(numbers) == 1 else f"trials {shown}"


def _row(name: str, found: Sequence[Trial], selection: Selection) -> dict[str, Any]:
    order = ranked(found, selection)
    reached = [(selection.cost(trial.value), i) for i, trial in enumerate(found)
               if trial.value is not None]  # fmt: skip
    best = order[0] if order else found[min(reached)[1]] if reached else None
    states = {trial.status for trial in found}
    status = next((s for s in ("done", "pruned", "failed") if s in states), "open")
    return {
        "setting": name,
        "trials": len({_trained(trial) for trial in found}),
        "best": best.value if best else None,
        "trial": _trained(best) if best else None,
        "status": status,
    }


def _trained(trial: Trial) -> int:
    """The number of the trial whose training gave the result."""
    return trial.number if trial.same_as is None else trial.same_as


def _edges(sweep: Sweep, order: Sequence[Trial]) -> list[str]:
    """Sentences; for a scientific setting that is a list, its end is an answer, not a fault."""
    sentences = []
    for key, axis in parse_space(sweep).items():
        asked = key in sweep.nuisance or isinstance(axis, Range)
        side = axis.edge(order[0].params[key]) if order and asked else None
        sentences += [f"{key}: the best value is at the {side} tried"] if side else []
    return sentences


def label(value: Any, axis: Axis) -> str:
    """A value as text that no other value of its axis has; of a block its name, if that is enough.

    Two blocks of one name are told apart by their settings: `sgd(lr=0.1)`, `sgd(lr=0.1,
    momentum=0.9)`.
    """
    if not isinstance(value, dict) or "name" not in value:
        return str(value)
    values = axis.values if isinstance(axis, Choices) else ()
    alike = [other for other in values if _name(other) == value["name"]]
    settings = ", ".join(f"{key}={item}" for key, item in value.items() if key != "name")
    enough = all(other == value for other in alike) or not settings
    return str(value["name"]) if enough else f"{value['name']}({settings})"


def _name(value: Any) -> Any:
    return value.get("name") if isinstance(value, dict) else value
