"""`ftune evaluate`: metrics of a trained model on a split, or on new data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ftune.build import read_data
from ftune.console import Console
from ftune.errors import RequestError
from ftune.predictor import restore
from ftune.runs.base import Base


def evaluate(
    base: Base, changes: Sequence[str], split: str | None, console: Console
) -> dict[str, Any]:
    """Metrics and, by class or target, their details.

    With `data.path=FILE` all rows of that file are judged, else the run's own `split` (test where
    there is one, else val).
    """
    path = next((c.partition("=")[2] for c in changes if c.startswith("data.path=")), None)
    predictor = restore(base, [c for c in changes if not c.startswith("data.path=")])
    if path is not None:
        name, (scores, details) = path, predictor.evaluate(path)
    else:
        data = read_data(predictor.config, fitted=predictor.pipeline)
        name = split or ("test" if data.test is not None else "val")
        rows = data.splits.get(name)
        if rows is None:
            there = ", ".join(data.splits)
            raise RequestError(f"the run has no split `{name}`; --split takes: {there}")
        scores, details = predictor.score(rows)
    console.table("", ("metric", name), list(scores.items()))
    if details:
        console.table("", list(details[0]), [list(row.values()) for row in details])
    summary = {"command": "evaluate", "status": "done", "run": str(base.source)}
    return {**summary, "metrics": {name: scores}, "details": details}
