"""What a training leaves behind in summary.json, and says at its end."""

from __future__ import annotations

import time
from typing import Any

from ftune.assembly.job import selection_of
from ftune.console import Console
from ftune.engine.loop import Outcome
from ftune.errors import CheckpointError
from ftune.runs import checkpoint
from ftune.runs.run_record import Summary
from ftune.schema.root import RunConfig
from ftune.training.checkpoint_content import (
    beyond,
    ending,
    peak_memory,
    show_scores,
)
from ftune.training.run import Run

Scores = dict[str, dict[str, float]]


def summary_of(
    run: Run, status: str, began: float, outcome: Outcome | None, scores: Scores
) -> dict[str, Any]:
    parts, state, best = run.parts, run.state, run.state.best
    used = checkpoint.pointed(run.folder.checkpoints, "best" if best else "latest")
    earlier, damage = _earlier(run) if status != "failed" else (Summary(), [])
    seconds = time.monotonic() - began + (earlier.seconds or 0.0)
    stepping = outcome.train_seconds if outcome else 0.0
    metric = selection_of(parts).metric
    picked = {"step": best.step, "metric": metric, "value": best.value} if best else None
    return {
        "command": run.folder.facts()["command"],
        "status": status,
        "run": str(run.folder.path),
        "steps": state.step,
        "epochs": round(state.step / parts.batches.steps_per_epoch, 4),
        "seconds": round(seconds, 3),
        "train_seconds": round(stepping + (earlier.train_seconds or 0.0), 3),
        "peak_memory_bytes": peak_memory(),
        "parameters": {"total": sum(parts.sizes.values()), "trainable": parts.trainable},
        "metrics": scores,
        "best": picked,
        "checkpoint": str(used) if used else None,
        "lr": state.base_lr,
        **cost_of(run.config, seconds),
        "skipped": state.skipped,
        "notes": [
            *(str(leak) for leak in (parts.dataset.profile.leaks if parts.dataset.profile else ())),
            *parts.notes,
            *damage,
            *beyond(run.config, parts),
            *(ending(run.config, parts, state) if status == "done" else []),
        ],
    }


def cost_of(config: RunConfig, seconds: float) -> dict[str, float]:
    """Return `cost` where the configuration has a price, else nothing."""
    cost = config.runtime.cost(seconds)
    return {} if cost is None else {"cost": cost}


def _earlier(run: Run) -> tuple[Summary, list[str]]:
    """Return the summary of the training so far, and what is to be said where it is damaged."""
    try:
        return run.folder.summary, []
    except CheckpointError as error:
        return Summary(), [
            f"{error}; it is written anew, without the seconds that were spent before"
        ]


def show_end(console: Console, summary: dict[str, Any], outcome: Outcome) -> None:
    show_scores(console, summary["metrics"])
    best = summary["best"]
    picked = f"; best at step {best['step']:,} by validation {best['metric']}" if best else ""
    early = " (stopped early)" if outcome.reason == "early" else ""
    paid = f"; cost {summary['cost']:.2f}" if "cost" in summary else ""
    rate = summary["steps"] / max(summary["train_seconds"], 1e-9)
    console.info(
        f"{summary['steps']:,} steps{early} in {summary['seconds']:.1f} s "
        f"({rate:,.0f} steps/s while training){picked}{paid}"
    )
    console.info(f"run: {summary['run']}")
