"""`ftune lr-find`: which learning rate, with the curve that says so."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ftune.assembly.build import base_pipeline, read_data
from ftune.commands.base_config import with_base
from ftune.commands.request import Request
from ftune.config.edit import set_value
from ftune.config.extends import compose
from ftune.console import Console
from ftune.data.dataset import Dataset
from ftune.errors import InterruptedRunError, RequestError
from ftune.plan.time import with_length
from ftune.report.lr_curve import LEGEND, plot, save_plot
from ftune.runs.base import Base
from ftune.runs.files import write_atomic
from ftune.runs.folder import RunFolder
from ftune.runtime.processes import refuse_several
from ftune.runtime.signals import stopper
from ftune.schema.root import RunConfig
from ftune.search.lr_find import LrFindResult, find, resolve_auto_lr
from ftune.search.ties import Point, best_of
from ftune.training.checkpoint_content import peak_memory
from ftune.training.provenance import gathered
from ftune.training.run import create_folder


def lr_find(request: Request) -> dict[str, Any]:
    """Find a learning rate, show and save the curve, and return the summary."""
    refuse_several()
    began = time.monotonic()
    config, base, console = request.config, request.base, request.console
    config = with_base(config, base) if base else config
    path = RunFolder.place("lr-find", request.stem, request.out, config.runs_folder)
    dataset = request.dataset or read_data(config, prior=base_pipeline(base))
    config, length = with_length(config, dataset, base)
    for note in length:
        console.note(note)
    finding = search(config, dataset, base, console)
    facts = gathered(config, dataset, torch.get_num_threads())
    with create_folder(config, path, "lr-find", "done", **facts) as folder:
        summary = _summary(folder, finding, time.monotonic() - began)
        folder.write_summary(summary)
        _show(finding, config, folder, console)
    return summary


def settled(
    config: RunConfig, dataset: Dataset, base: Base | None, console: Console
) -> tuple[RunConfig, list[str]]:
    """Return the configuration with a number in the place of `lr: auto`, and notes about it."""

    def announced(config: RunConfig, dataset: Dataset, base: Base | None) -> LrFindResult:
        console.info("optimizer.lr is auto: finding the learning rate first")
        finding = search(config, dataset, base, console)
        console.info(
            f"learning rate: {finding.suggested:g} "
            f"(nearly as good: {finding.low:.2g} to {finding.high:.2g})"
        )
        return finding

    return resolve_auto_lr(config, dataset, base, announced)


def search(
    config: RunConfig, dataset: Dataset, base: Base | None, console: Console
) -> LrFindResult:
    """Search for a rate with a progress bar. Raises InterruptedRunError after a signal."""
    with stopper() as stopping, console.progress("learning rates", 1) as bar:

        def report(point: Point, done: int, of: int) -> None:
            bar.total = of
            bar.update(done, f"lr {point.lr:.1e} loss {point.loss:.4g}")

        try:
            return find(config, dataset, base, report, lambda: stopping.signal is not None)
        except KeyboardInterrupt:
            if stopping.signal is None:
                raise
            raise InterruptedRunError(stopping.signal, None) from None


def write_rate(file: Path, summary: Mapping[str, Any], console: Console) -> None:
    """Put the suggested rate into a configuration file, changing nothing else in it.

    Raises RequestError where `optimizer.lr` is another file's, an alias, or has no place.
    """
    rate = f"{summary['lr']['suggested']:g}"
    optimizer = compose(file, RunConfig).root.value.get("optimizer")
    settings = optimizer.value if optimizer and isinstance(optimizer.value, dict) else {}
    if "lr" in settings and (mark := settings["lr"].mark).source != str(file):
        raise RequestError(f"{file}: `optimizer.lr` stands at {mark}; write `lr: {rate}` there")
    text = set_value(file.read_bytes().decode(), str(file), "optimizer", "lr", rate)
    write_atomic(file, text.encode())
    doubt = "; mind the warnings above" if summary["notes"] else ""
    console.info(f"written to {file}{doubt}")


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


def mark_of(point: Point, finding: LrFindResult) -> str:
    """Return what the table says of a rate: best, nearly as good, or nothing."""
    if point == best_of(finding.curve):
        return "best"
    return "nearly as good" if finding.low <= point.lr <= finding.high else ""


def _show(finding: LrFindResult, config: RunConfig, folder: RunFolder, console: Console) -> None:
    console.info(plot(finding))
    console.info(LEGEND)
    rows = [(f"{p.lr:.2e}", _loss(p), mark_of(p, finding)) for p in finding.curve]
    console.table("", ("rate", "validation loss", ""), rows)
    name = type(config.optimizer).__name__.lower()
    console.info(
        f"suggested learning rate for {name}: {finding.suggested:g} "
        f"(nearly as good: {finding.low:.2g} to {finding.high:.2g})"
    )
    counts = [
        f"{len(trainings)} trainings of {trainings[0].steps:,} steps"
        for trainings in (finding.survey, finding.curve)
    ]
    console.info(f"from {counts[0]}, then {counts[1]}")
    for note in finding.notes:
        console.warn(note)
    if save_plot(finding, folder.path / "lr.png"):
        console.info(f"plot: {folder.path / 'lr.png'}")
    else:
        console.info("a PNG of the curve needs matplotlib: pip install 'ftune[plots]'")
    console.info(f"run: {folder.path}")
