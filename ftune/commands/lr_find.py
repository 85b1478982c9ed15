"""`ftune lr-find`: which learning rate, with the curve that says so."""

from __future__ import annotations

import math
import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from ftune.build import base_pipeline, read_data
from ftune.commands.curve import LEGEND, plot, save_plot
from ftune.commands.finetune import with_base
from ftune.commands.rate import search
from ftune.config.dump import dump, to_yaml
from ftune.console import Console
from ftune.errors import RequestError
from ftune.runs.base import Base
from ftune.runs.files import write_atomic
from ftune.runs.folder import RunFolder
from ftune.runtime.processes import refuse_several
from ftune.schema.root import RunConfig
from ftune.search.lr_find import LrFindResult
from ftune.search.ties import Point, best_of
from ftune.training.describe import peak_memory
from ftune.training.facts import gathered


def lr_find(
    config: RunConfig, base: Base | None, stem: str, out: Path | None, console: Console
) -> dict[str, Any]:
    """Finds a rate, shows and saves the curve, and returns the summary."""
    refuse_several()
    began = time.monotonic()
    config = with_base(config, base) if base else config
    place = RunFolder.place("lr-find", stem, out, config.runs_folder)  # refused before it costs
    dataset = read_data(config, prior=base_pipeline(base))
    finding = search(config, dataset, base, console)
    with RunFolder.create(
        place, to_yaml(dump(config)), command="lr-find", status="done", pid=os.getpid(),
        started=datetime.now(UTC).isoformat(timespec="milliseconds"),
        **gathered(config, dataset, torch.get_num_threads()),
    ) as folder:  # fmt: skip
        summary = _summary(folder, finding, time.monotonic() - began)
        folder.write_summary(summary)
        _show(finding, config, folder, console)
    return summary


def write_rate(file: Path, rate: float) -> None:
    """Puts the rate into a configuration file, touching nothing else in it.

    Raises RequestError where `optimizer` has no `lr` to replace.
    """
    text = file.read_text(encoding="utf-8")
    block = re.search(r"(?ms)^optimizer:.*?(?=^\S|\Z)", text)
    found = re.search(r"(?<![\w])lr:\s*([^\s,}#]+)", block.group()) if block else None
    if block is None or found is None:
        raise RequestError(
            f"{file}: no `lr:` under `optimizer:` to replace; write `lr: {rate:g}` there"
        )
    start, end = block.start() + found.start(1), block.start() + found.end(1)
    write_atomic(file, (text[:start] + f"{rate:g}" + text[end:]).encode())


def _summary(folder: RunFolder, finding: LrFindResult, seconds: float) -> dict[str, Any]:
    trained = sum(p.steps for p in (*finding.survey, *finding.curve))
    best = best_of(finding.curve)
    return {
        "command": "lr-find",
        "status": "done",
        "run": str(folder.path),
        "steps": trained,
        "epochs": None,
        "seconds": round(seconds, 3),
        "train_seconds": None,
        "peak_memory_bytes": peak_memory(),
        "parameters": None,
        "metrics": {"val": {"loss": best.loss}},
        "best": {"step": best.steps, "metric": "loss", "value": best.loss},
        "checkpoint": None,
        "lr": {"suggested": finding.suggested, "low": finding.low, "high": finding.high},
        "notes": list(finding.notes),
        "curve": [
            {"lr": p.lr, "loss": p.loss if math.isfinite(p.loss) else None, "steps": p.steps}
            for p in sorted((*finding.survey, *finding.curve), key=lambda p: (p.steps, p.lr))
        ],
    }


def _loss(point: Point) -> float | str:
    return point.loss if math.isfinite(point.loss) else "diverged"


def _mark(point: Point, finding: LrFindResult) -> str:
    if point == best_of(finding.curve):
        return "best"
    return "nearly as good" if finding.low <= point.lr <= finding.high else ""


def _show(finding: LrFindResult, config: RunConfig, folder: RunFolder, console: Console) -> None:
    console.say(plot(finding))
    console.say(LEGEND)
    rows = [(f"{p.lr:.2e}", _loss(p), _mark(p, finding)) for p in finding.curve]
    console.table("", ("rate", "validation loss", ""), rows)
    name = type(config.optimizer).__name__.lower()
    console.say(
        f"suggested learning rate for {name}: {finding.suggested:g} "
        f"(nearly as good: {finding.low:.2g} to {finding.high:.2g})"
    )
    counts = [
        f"{len(found)} trainings of {found[0].steps:,} steps"
        for found in (finding.survey, finding.curve)
    ]
    console.say(f"from {counts[0]}, then {counts[1]}")
    for note in finding.notes:
        console.warn(note)
    if save_plot(finding, folder.path / "lr.png"):
        console.say(f"plot: {folder.path / 'lr.png'}")
    else:
        console.say("a PNG of the curve needs matplotlib: pip install 'ftune[plots]'")
    console.say(f"run: {folder.path}")
