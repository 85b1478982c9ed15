"""What the trials of a sweep say: a comparison of best values, without a statistical claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ftune.schema import Sweep
from ftune.search.space import Range, parse_space
from ftune.search.study import Trial, ranked


def verdict(sweep: Sweep, trials: Sequence[Trial], larger_is_better: bool) -> dict[str, Any]:
    """The best of each scientific setting, and the settings whose best lies at an end.

    A setting whose trials were all pruned or failed stands in the list with what it reached.
    """
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        name = ", ".join(f"{key}={short(trial.params[key])}" for key in sweep.scientific)
        groups.setdefault(name, []).append(trial)
    rows = [_row(name, found, larger_is_better) for name, found in groups.items()]
    sign = -1 if larger_is_better else 1
    rows.sort(key=lambda row: (row["best"] is None, sign * (row["best"] or 0.0)))
    return {
        "question": sweep.question,
        "by_setting": rows,
        "edges": _edges(sweep, ranked(trials, larger_is_better)),
    }


def short(value: Any) -> str:
    """A value in a table: of a block, its name."""
    return str(value.get("name", value)) if isinstance(value, dict) else str(value)


def _row(name: str, found: Sequence[Trial], larger_is_better: bool) -> dict[str, Any]:
    order = ranked(found, larger_is_better)
    pick = max if larger_is_better else min
    reached = [trial for trial in found if trial.value is not None]
    best = order[0] if order else pick(reached, key=lambda t: t.value or 0.0, default=None)
    states = {trial.status for trial in found}
    status = next((s for s in ("done", "pruned", "failed") if s in states), "open")
    return {
        "setting": name,
        "trials": len(found),
        "best": best.value if best else None,
        "trial": best.number if best else None,
        "status": status,
    }


def _edges(sweep: Sweep, order: Sequence[Trial]) -> list[str]:
    """Sentences; for a scientific setting that is a list, its end is an answer, not a fault."""
    found = []
    for key, axis in parse_space(sweep).items():
        asked = key in sweep.nuisance or isinstance(axis, Range)
        side = axis.edge(order[0].params[key]) if order and asked else None
        found += [f"{key}: the best value is at the {side} tried"] if side else []
    return found
