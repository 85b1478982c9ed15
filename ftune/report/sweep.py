"""The end of a sweep: its summary, the best trials, the settings compared, the counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftune.config.dump import dump, to_yaml
from ftune.console import Console
from ftune.engine.selection import Selection
from ftune.runs.folder import RunFolder
from ftune.runs.run_record import Summary
from ftune.schema.root import RunConfig
from ftune.search.lr_find import RATE
from ftune.search.scheduler import trial_folder
from ftune.search.space import Axis, parse_space
from ftune.search.study import Trial, ranked
from ftune.search.sweep import best_config
from ftune.search.verdict import label, repeated, verdict
from ftune.security.redact import redact
from ftune.training.checkpoint_content import peak_memory, untrained

MOST_ROWS = 10


def summarise(
    folder: RunFolder, config: RunConfig, trials: Sequence[Trial],
    selection: Selection, seconds: float,
) -> dict[str, Any]:  # fmt: skip
    """Return the summary of a sweep that has ended; write the best trial's configuration."""
    assert config.sweep is not None
    order = ranked(trials, selection)
    runs = [RunFolder(trial_folder(folder.path, t.number)).summary for t in trials]
    best = order[0] if order else None
    run = runs[best.number] if best else Summary()
    if best:
        text = _best_file(config, best, selection.metric)
        (folder.path / "best.yaml").write_text(text, encoding="utf-8")
    return {
        "command": "sweep",
        "status": "failed" if all(t.status == "failed" for t in trials) else "done",
        "run": str(folder.path),
        "steps": sum(r.steps or 0 for r in runs),
        "epochs": sum(r.epochs or 0.0 for r in runs),
        "seconds": round(seconds, 3),
        "train_seconds": round(sum(r.train_seconds or 0.0 for r in runs), 3),
        "peak_memory_bytes": peak_memory(),
        "parameters": run.parameters,
        "metrics": run.metrics,
        "best": best and {
            "step": run.best and run.best.step, "metric": selection.metric, "value": best.value
        },
        "checkpoint": run.checkpoint,
        "trials": [
            {"number": t.number, "params": dict(t.params), "value": t.value, "status": t.status}
            | ({"reason": t.reason} if t.reason else {})
            | ({"same_as": t.same_as} if t.same_as is not None else {})
            for t in trials
        ],
        "best_trial": best.number if best else None,
        "trained": sum(t.same_as is None for t in trials),
        "verdict": verdict(config.sweep, trials, selection),
        "notes": [*repeated(trials), *_rate_notes(best, run)],
    }  # fmt: skip


def _best_file(config: RunConfig, best: Trial, metric: str) -> str:
    title = f"# Trial {best.number}: validation {metric} {best.value:.6g}, {settings_line(best)}\n"
    return redact(title) + to_yaml(best_config(dump(config), best))


def _rate_notes(best: Trial | None, run: Summary) -> list[str]:
    """Return the notes on the search for the best trial's rate."""
    return [f"trial {best.number}: {n}" for n in run.notes if best and n.startswith(RATE)]


def show_result(
    config: RunConfig, trials: Sequence[Trial], summary: Mapping[str, Any],
    selection: Selection, console: Console,
) -> None:  # fmt: skip
    """Print the tables, the notes and the counts of a sweep that has ended."""
    assert config.sweep is not None
    sweep, metric = config.sweep, selection.metric
    order = ranked(trials, selection)
    _best_trials(parse_space(sweep), order[:MOST_ROWS], metric, console)
    if sweep.scientific:
        rows = [tuple(row.values()) for row in summary["verdict"]["by_setting"]]
        heads = ("setting", "trials", f"best {metric}", "trial", "status")
        console.table("by scientific setting", heads, rows)
    for note in (*summary["verdict"]["edges"], *summary["notes"]):
        console.info(f"note: {note}")
    if summary["best"] and summary["best"]["step"] == 0:
        console.info(f"note: trial {summary['best_trial']}: {untrained(config)}")
    console.info(f"{_counts(trials)} in {summary['seconds']:.1f} s; run: {summary['run']}")
    if order:
        command, best = "finetune" if config.base else "optimize", Path(summary["run"], "best.yaml")
        console.info(f"the best by itself: ftune {command} {best}")
    for trial in trials:
        if trial.status == "failed" and trial.same_as is None:
            console.info(f"trial {trial.number} failed: {trial.reason}")


def trial_line(trial: Trial) -> str:
    """Return one trial as a line: how it ended, its value and its settings."""
    value = "" if trial.value is None else f" {trial.value:.4g}"
    same = "" if trial.same_as is None else f" (as trial {trial.same_as})"
    return f"trial {trial.number}: {trial.status}{value}{same} {settings_line(trial)}"


def settings_line(trial: Trial) -> str:
    """Return a trial's settings as `key=value`."""
    return " ".join(f"{key}={_cell(value)}" for key, value in trial.params.items())


def _best_trials(
    space: Mapping[str, Axis], order: Sequence[Trial], metric: str, console: Console
) -> None:
    """Print the best trials; a column names the trial whose result another has taken over."""
    keys = [key.rpartition(".")[2] if key.count(".") == 1 else key for key in space]
    repeated = any(trial.same_as is not None for trial in order)
    rows = []
    for trial in order:
        cells = [_cell(value, space[key]) for key, value in trial.params.items()]
        origin = "" if trial.same_as is None else f"as trial {trial.same_as}"
        rows.append((trial.number, *cells, trial.value, *([origin] if repeated else [])))
    heads = ("trial", *keys, f"val {metric}", *(["result"] if repeated else []))
    console.table("best trials", heads, rows)


def _counts(trials: Sequence[Trial]) -> str:
    states = [trial.status for trial in trials]
    counts = [f"{states.count(s)} {s}" for s in ("done", "pruned", "failed") if s in states]
    trained = sum(trial.same_as is None for trial in trials)
    repeated = f"; {trained} trained" if trained < len(trials) else ""
    return f"{len(trials)} trials ({', '.join(counts)}{repeated})"


def _cell(value: Any, axis: Axis | None = None) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return label(value, axis) if axis else str(value)
