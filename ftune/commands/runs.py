"""`ftune runs` and `ftune compare`: what was run, and how two or more runs differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ftune.config.spelling import suggestion
from ftune.config.tree import parse, read_text
from ftune.console import Console
from ftune.errors import RequestError
from ftune.runs.folder import RunFolder, list_runs
from ftune.runs.process import elsewhere
from ftune.tasks.protocol import DIRECTIONS

ABSENT = "–"
COST = ("steps", "seconds", "train_seconds", "peak_memory_bytes")


def runs(parent: Path, console: Console, sort: str | None = None) -> dict[str, Any]:
    """A table of the runs below a folder, oldest first; or the best by a figure of the summary.

    sort: `test.accuracy`, `seconds`, … Raises RequestError where no run has it.
    """
    found = [(run, run.facts(), run.summary()) for run in list_runs(parent)]
    if not found:
        console.say(f"no runs in {parent}")
    known = [facts.get("directions") or {} for _, facts, _ in found]
    summaries = [summary for _, _, summary in found]
    figures = figures_of(summaries, sort, known) if sort and found else {}
    order = sorted(range(len(found)), key=lambda i: figures.get(i, (True, i)))
    found = [found[i] for i in order]
    rows = [
        (
            run.path.name,
            _date(facts),
            _status(facts),
            summary.get("steps", ""),
            summary.get("seconds", ""),
            _figure(summary, sort) if sort else _best(summary),
        )
        for run, facts, summary in found
    ]
    columns = ("run", "started", "status", "steps", "seconds", sort or "best")
    console.table("", columns, rows)
    keys = ("command", "status")
    listed = [
        {"run": str(run.path), **{key: facts.get(key) for key in keys}, "best": summary.get("best")}
        for run, facts, summary in found
    ]
    return {"command": "runs", "status": "done", "runs": listed}


def figures_of(
    summaries: Sequence[Mapping[str, Any]], key: str, noted: Sequence[Mapping[str, str]] = ()
) -> dict[int, tuple[bool, float]]:
    """Of each run that has the figure what sorts it: the best first. Raises RequestError.

    noted: which way is better, as each run says of its own metrics (those of 0.1 say nothing).
    """
    values = {i: _figure(summary, key) for i, summary in enumerate(summaries)}
    name = key.rpartition(".")[2].partition("/")[0]
    ways = {name: way for some in (DIRECTIONS, *noted) for name, way in some.items()}
    sign = -1.0 if ways.get(name) == "max" else 1.0
    found = {
        i: (False, sign * v)
        for i, v in values.items()
        if isinstance(v, int | float) and math.isfinite(v)
    }
    if found:
        return found
    known = sorted({name for summary in summaries for name in _figures(summary)})
    raise RequestError(f"--sort {key}: no run has it; {suggestion(key, known)}")


def _figure(summary: Mapping[str, Any], key: str) -> Any:
    return _figures(summary).get(key)


def _figures(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What runs can be sorted by: metrics as `test.accuracy`, cost as `seconds`."""
    cost = {name: summary[name] for name in COST if isinstance(summary.get(name), int | float)}
    return cost | flat(summary.get("metrics") or {})


def _date(facts: Mapping[str, Any]) -> str:
    """When it started, in the time of this place: this year to the minute, before by the day."""
    try:
        started = datetime.fromisoformat(str(facts.get("started", "")))
    except ValueError:
        return ""
    this_year = started.astimezone().year == datetime.now().astimezone().year
    return started.astimezone().strftime("%m-%d %H:%M" if this_year else "%Y-%m-%d")


def compare(paths: Sequence[Path], console: Console) -> dict[str, Any]:
    """Tables of the settings that differ, of the metrics, and of the cost."""
    if len(paths) < 2:
        raise RequestError("compare takes two runs or more")
    folders = [RunFolder.open(path) for path in paths]
    names = _short_names([folder.path.resolve().name for folder in folders])
    configs = [flat(parse(read_text(f.config_file), str(f.config_file)).plain()) for f in folders]
    summaries = [folder.summary() for folder in folders]
    settings = {
        key: [config.get(key, ABSENT) for config in configs]
        for key in dict.fromkeys(key for config in configs for key in config)
        if len({str(config.get(key, ABSENT)) for config in configs}) > 1
    }
    scores = [flat(summary.get("metrics") or {}) for summary in summaries]
    metrics = {k: [s.get(k) for s in scores] for k in dict.fromkeys(k for s in scores for k in s)}
    cost = {key: [summary.get(key) for summary in summaries] for key in COST}
    cost["parameters"] = [(summary.get("parameters") or {}).get("total") for summary in summaries]
    for index, name in enumerate(names):
        console.say(f"{name}: {folders[index].path}")
    for title, rows in (("settings that differ", settings), ("metrics", metrics), ("cost", cost)):
        console.table(title, ("", *names), [(key, *values) for key, values in rows.items()])
    if not settings:
        console.say("the configurations are the same")
    return {"command": "compare", "status": "done", "runs": [str(f.path) for f in folders],
            "settings": settings, "metrics": metrics, "cost": cost}  # fmt: skip


def flat(value: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Nested settings by dotted path; a list of blocks has a line for each of its items."""
    found: dict[str, Any] = {}
    for key, item in value.items():
        full = f"{path}.{key}" if path else str(key)
        if isinstance(item, list) and any(isinstance(x, dict) for x in item):
            found |= {f"{full}.{index}": words(x) for index, x in enumerate(item)}
        elif isinstance(item, dict) and item:
            found |= flat(item, full)
        elif item not in (None, [], {}):
            found[full] = item if isinstance(item, int | float) else str(item)
    return found


def words(item: Any) -> str:
    """A layer, a transform or a rule on one line: `linear size=50 as=layer1`."""
    if not isinstance(item, dict):
        return str(item)
    if len(item) == 1 and isinstance(inner := next(iter(item.values())), dict):
        return f"{next(iter(item))} {words(inner)}"
    return " ".join(f"{key}={value}" for key, value in item.items())


def _status(facts: Mapping[str, Any]) -> str:
    host = elsewhere(facts) if facts.get("status") == "running" else None
    return f"running on {host}" if host else str(facts.get("status", ""))


def _best(summary: Mapping[str, Any]) -> str:
    best = summary.get("best")
    if not isinstance(best, dict) or not isinstance(best.get("value"), int | float):
        return ""
    return f"{best.get('metric')} {best['value']:.4g}"


def _short_names(names: Sequence[str]) -> list[str]:
    """Letters for runs whose folder names would not fit side by side."""
    if sum(map(len, names)) <= 40 and len(set(names)) == len(names):
        return list(names)
    return [chr(ord("A") + i) if i < 26 else f"run {i + 1}" for i in range(len(names))]
