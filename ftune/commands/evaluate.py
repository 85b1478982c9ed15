"""`ftune evaluate`: metrics of a trained model on a split, or on new data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ftune.assembly.build import read_data
from ftune.commands.base_config import new_path
from ftune.commands.predict import LAYOUT, advised, check_settings
from ftune.config.fields import settings_with
from ftune.console import Console
from ftune.errors import RequestError
from ftune.predictor import restore
from ftune.runs.base import Base
from ftune.schema.root import RunConfig

NEW_ROWS = (*LAYOUT, "data.drop_missing_target")
"""Settings that say how a new file is read."""


def evaluate(
    base: Base, changes: Sequence[str], split: str | None, console: Console
) -> dict[str, Any]:
    """Print and return the metrics, with their details by class or target.

    With `data.path=FILE` all rows of that file are scored, else the run's own `split`: test where
    there is one, else val.
    """
    path, others = new_path(changes)
    cost = settings_with(RunConfig, "cost")
    check_settings(others, "evaluate", "data.path", *cost, *(NEW_ROWS if path else ()))
    predictor = restore(base, others)
    if path is not None and split is not None:
        raise RequestError(f"--split {split}: all rows of data.path are judged; give one of both")
    if path is not None:
        with advised():
            name, (scores, details) = path, predictor.evaluate(path)
    else:
        data = read_data(predictor.config, fitted=predictor.pipeline)
        name = split or ("test" if data.test is not None else "val")
        rows = data.splits.get(name)
        if rows is None:
            names = ", ".join(data.splits)
            raise RequestError(f"the run has no split `{name}`; --split takes: {names}")
        scores, details = predictor.score(rows)
    for note in predictor.notes:
        console.info(f"note: {note}")
    console.info(f"{predictor.judged:,} rows of {name} scored")
    console.table("", ("metric", name), list(scores.items()))
    if details:
        console.table("", list(details[0]), [list(row.values()) for row in details])
    summary = {"command": "evaluate", "status": "done", "run": str(base.source)}
    results = {"metrics": {name: scores}, "details": details, "notes": predictor.notes}
    return {**summary, "rows": predictor.judged, **results}
