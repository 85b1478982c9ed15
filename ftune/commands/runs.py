"""`ftune runs` and `ftune compare`: what was run, and how two or more runs differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ftune.config.spelling import suggestion
from ftune.console import Console
from ftune.errors import CheckpointError, RequestError
from ftune.report.comparison import COST, comparison, flat, short_names
from ftune.runs.folder import RunFolder
from ftune.runs.process import elsewhere
from ftune.runs.run_record import Summary
from ftune.tasks.protocol import DIRECTIONS

Described = tuple[RunFolder, dict[str, Any], Summary]


def runs(parent: Path, console: Console, sort: str | None = None) -> dict[str, Any]:
    """Print the runs below a folder, oldest first or the best by a figure; return their list.

    sort: `test.accuracy`, `seconds`, … Raises RequestError where no run has it.
    """
    described = [_described(RunFolder(file.parent), console) for file in parent.glob("*/run.json")]
    listed = sorted(described, key=lambda run: str(run[1].get("started", "")))
    if not listed:
        console.info(f"no runs in {parent}")
    directions = [facts.get("directions") or {} for _, facts, _ in listed]
    summaries = [summary for _, _, summary in listed]
    ranks = figures_of(summaries, sort, directions) if sort and listed else {}
    listed = [listed[i] for i in sorted(range(len(listed)), key=lambda i: ranks.get(i, (True, i)))]
    rows = [
        (
            run.path.name,
            _date(facts),
            _status(facts),
            "" if summary.steps is None else summary.steps,
            "" if summary.seconds is None else summary.seconds,
            _figures(summary).get(sort) if sort else _best(summary),
        )
        for run, facts, summary in listed
    ]
    console.table("", ("run", "started", "status", "steps", "seconds", sort or "best"), rows)
    keys = ("command", "status")
    entries = [
        {
            "run": str(run.path),
            **{key: facts.get(key) for key in keys},
            "best": vars(summary.best) if summary.best else None,
        }
        for run, facts, summary in listed
    ]
    return {"command": "runs", "status": "done", "runs": entries}


def _described(run: RunFolder, console: Console) -> Described:
    """Return a run with its facts and its summary; of a damaged one only that it is damaged."""
    try:
        return run, run.facts(), run.summary
    except CheckpointError as error:
        console.warn(str(error))
        return run, {"status": "damaged"}, Summary()


def compare(paths: Sequence[Path], console: Console) -> dict[str, Any]:
    """Print the settings that differ, the metrics and the cost of runs side by side."""
    if len(paths) < 2:
        raise RequestError("compare takes two runs or more")
    folders = [RunFolder.open(path) for path in paths]
    names = short_names([folder.path.resolve().name for folder in folders])
    tables = comparison(folders)
    for name, folder in zip(names, folders, strict=True):
        console.info(f"{name}: {folder.path}")
    for key, rows in tables.items():
        title = "settings that differ" if key == "settings" else key
        console.table(title, ("", *names), [(row, *values) for row, values in rows.items()])
    if not tables["settings"]:
        console.info("the configurations are the same")
    runs = [str(folder.path) for folder in folders]
    return {"command": "compare", "status": "done", "runs": runs, **tables}


def figures_of(
    summaries: Sequence[Summary], key: str, noted: Sequence[Mapping[str, str]] = ()
) -> dict[int, tuple[bool, float]]:
    """Return the sort key of each run that has the figure, best first. Raises RequestError.

    noted: which way is better, as each run says of its own metrics (those of 0.1 say nothing).
    """
    name = key.rpartition(".")[2].partition("/")[0]
    directions = {name: way for table in (DIRECTIONS, *noted) for name, way in table.items()}
    sign = -1.0 if directions.get(name) == "max" else 1.0
    values = {i: _figures(summary).get(key) for i, summary in enumerate(summaries)}
    ranks = {
        i: (False, sign * value)
        for i, value in values.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
    if ranks:
        return ranks
    known = sorted({name for summary in summaries for name in _figures(summary)})
    raise RequestError(f"--sort {key}: no run has it; {suggestion(key, known)}")


def _figures(summary: Summary) -> dict[str, Any]:
    """Return what runs can be sorted by: metrics as `test.accuracy`, cost as `seconds`."""
    cost = {name: getattr(summary, name) for name in COST}
    return {k: v for k, v in cost.items() if v is not None} | flat(summary.metrics)


def _date(facts: Mapping[str, Any]) -> str:
    """Return the local time of the start: to the minute in this year, else the day."""
    try:
        started = datetime.fromisoformat(str(facts.get("started", "")))
    except ValueError:
        return ""
    this_year = started.astimezone().year == datetime.now().astimezone().year
    return started.astimezone().strftime("%m-%d %H:%M" if this_year else "%Y-%m-%d")


def _status(facts: Mapping[str, Any]) -> str:
    host = elsewhere(facts) if facts.get("status") == "running" else None
    return f"running on {host}" if host else str(facts.get("status", ""))


def _best(summary: Summary) -> str:
    return f"{summary.best.metric} {summary.best.value:.4g}" if summary.best else ""
