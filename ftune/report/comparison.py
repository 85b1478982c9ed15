"""Runs side by side: the settings that differ, the metrics, the cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ftune.config.tree import parse, read_text
from ftune.runs.folder import RunFolder

ABSENT = "–"
COST = ("steps", "seconds", "train_seconds", "peak_memory_bytes")


def comparison(folders: Sequence[RunFolder]) -> dict[str, dict[str, list[Any]]]:
    """Return the tables `settings`, `metrics` and `cost`: name of a row -> a value for each run."""
    configs = [flat(parse(read_text(f.config_file), str(f.config_file)).plain()) for f in folders]
    summaries = [folder.summary for folder in folders]
    settings = {
        key: [config.get(key, ABSENT) for config in configs]
        for key in dict.fromkeys(key for config in configs for key in config)
        if len({str(config.get(key, ABSENT)) for config in configs}) > 1
    }
    scores = [flat(summary.metrics) for summary in summaries]
    metrics = {k: [s.get(k) for s in scores] for k in dict.fromkeys(k for s in scores for k in s)}
    cost = {key: [getattr(summary, key) for summary in summaries] for key in COST}
    if any(summary.cost is not None for summary in summaries):
        cost["cost"] = [summary.cost for summary in summaries]
    cost["parameters"] = [(summary.parameters or {}).get("total") for summary in summaries]
    return {"settings": settings, "metrics": metrics, "cost": cost}


def flat(value: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return nested settings by dotted path; a list of blocks has an entry for each block."""
    settings: dict[str, Any] = {}
    for key, item in value.items():
        full = f"{path}.{key}" if path else str(key)
        if isinstance(item, list) and any(isinstance(x, dict) for x in item):
            settings |= {f"{full}.{index}": words(x) for index, x in enumerate(item)}
        elif isinstance(item, dict) and item:
            settings |= flat(item, full)
        elif item not in (None, [], {}):
            settings[full] = item if isinstance(item, int | float) else str(item)
    return settings


def words(item: Any) -> str:
    """Return a layer, a transform or a rule on one line: `linear size=50 as=layer1`."""
    if not isinstance(item, dict):
        return str(item)
    if len(item) == 1 and isinstance(inner := next(iter(item.values())), dict):
        return f"{next(iter(item))} {words(inner)}"
    return " ".join(f"{key}={value}" for key, value in item.items())


def short_names(names: Sequence[str]) -> list[str]:
    """Return the names, or letters where they would not fit side by side."""
    if sum(map(len, names)) <= 40 and len(set(names)) == len(names):
        return list(names)
    return [chr(ord("A") + i) if i < 26 else f"run {i + 1}" for i in range(len(names))]
