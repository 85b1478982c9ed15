"""`lr: auto` settled before a training, and the picture of a learning-rate curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ftune.console import Console
from ftune.data.prepare import Dataset
from ftune.runs.base import Base
from ftune.runtime.signals import stopper
from ftune.schema import RunConfig
from ftune.search.lr_find import Finding, Point, find


def settled(config: RunConfig, dataset: Dataset, base: Base | None, console: Console) -> RunConfig:
    """The configuration with a number where it said `lr: auto`."""
    if config.optimizer.lr != "auto":
        return config
    console.say("optimizer.lr is auto: finding the learning rate first")
    finding = search(config, dataset, base, console)
    console.say(
        f"learning rate: {finding.suggested:g} "
        f"(nearly as good: {finding.low:.2g} to {finding.high:.2g})"
    )
    return replace(config, optimizer=replace(config.optimizer, lr=finding.suggested))


def search(config: RunConfig, dataset: Dataset, base: Base | None, console: Console) -> Finding:
    """`find` with a progress bar, ended by Ctrl-C."""
    with stopper() as stopping, console.progress("learning rates", 1) as bar:

        def report(point: Point, done: int, of: int) -> None:
            bar.total = of
            bar.update(done, f"lr {point.lr:.1e} loss {point.loss:.4g}")

        return find(config, dataset, base, report, lambda: stopping.signal is not None)


def plot(points: Sequence[Point], suggested: float, width: int = 64, height: int = 12) -> str:
    """The curve as text: rates from left to right on a ratio scale, low losses at the bottom."""
    finite = [p for p in points if math.isfinite(p.loss)]
    low, high = min(p.loss for p in finite), max(p.loss for p in finite)
    first, last = math.log(points[0].lr), math.log(points[-1].lr)
    grid = [[" "] * width for _ in range(height)]

    def column(lr: float) -> int:
        return round((math.log(lr) - first) / max(last - first, 1e-9) * (width - 1))

    mark = column(min(max(suggested, points[0].lr), points[-1].lr))
    for row in grid:
        row[mark] = "│"
    for p in points:
        share = (p.loss - low) / max(high - low, 1e-12) if math.isfinite(p.loss) else 1.0
        grid[round((1 - share) * (height - 1))][column(p.lr)] = (
            "●" if math.isfinite(p.loss) else "×"
        )
    labels = [
        f"{high:9.3g} ┤" if i == 0 else f"{low:9.3g} ┤" if i == height - 1 else " " * 10 + "│"
        for i in range(height)
    ]
    lines = [label + "".join(row).rstrip() for label, row in zip(labels, grid, strict=True)]
    axis = " " * 10 + "└" + "─" * width
    ends = f"{'':11}{points[0].lr:<10.1e}{f'lr {suggested:g}':^{width - 20}}{points[-1].lr:>10.1e}"
    return "\n".join([*lines, axis, ends])


def save_plot(finding: Finding, path: Path) -> bool:
    """The curve as a PNG; False where matplotlib is not installed."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        return False
    plt.switch_backend("agg")
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    finite = [p for p in finding.curve if math.isfinite(p.loss)]
    axes.axvspan(finding.low, finding.high, color="#4c72b0", alpha=0.15, label="nearly as good")
    axes.plot([p.lr for p in finite], [p.loss for p in finite], "o-", color="#4c72b0")
    axes.axvline(finding.suggested, color="#c44e52", label=f"suggested {finding.suggested:g}")
    for point in finding.curve:
        if not math.isfinite(point.loss):
            axes.axvline(point.lr, color="0.7", linestyle=":", linewidth=1)
    axes.set(xscale="log", xlabel="learning rate", ylabel="validation loss")
    if max(p.loss for p in finite) > 3 * min(p.loss for p in finite) > 0:
        axes.set_yscale("log")
    axes.set_title(f"{len(finding.curve)} trainings of {finding.steps:,} steps")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return True
