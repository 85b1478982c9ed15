"""Pictures of a search for the learning rate: in the terminal, and as PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ftune.search.lr_find import LrFindResult
from ftune.search.ties import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 64, 12
LEGEND = "○ first pass, ● second pass, × diverged; the bar marks the suggestion"


def plot(finding: LrFindResult) -> str:
    """Return the losses as text: rates from left to right on a log scale, low losses below."""
    points = [*finding.survey, *finding.curve]
    losses = [p.loss for p in points if math.isfinite(p.loss)]
    zero, positive = min(losses) <= 0, [loss for loss in losses if loss > 0]
    low, high = min(positive, default=1.0), max(positive, default=1.0)
    first, last = min(p.lr for p in points), max(p.lr for p in points)
    grid = [[" "] * WIDTH for _ in range(HEIGHT)]
    for row in grid:
        row[_cell(finding.suggested, first, last, WIDTH)] = "│"
    for mark, trainings in (("○", finding.survey), ("●", finding.curve)):
        for p in trainings:
            fine = math.isfinite(p.loss)
            height = _height(p.loss, low, high, zero) if fine else HEIGHT - 1
            grid[HEIGHT - 1 - height][_cell(p.lr, first, last, WIDTH)] = mark if fine else "×"
    labels = {0: f"{high:9.3g} ┤", HEIGHT - 1 - zero: f"{low:9.3g} ┤"}
    labels |= {HEIGHT - 1: f"{0:9} ┤"} if zero else {}
    lines = [labels.get(i, f"{'│':>11}") + "".join(row).rstrip() for i, row in enumerate(grid)]
    ends = f"{first:<10.1e}{f'lr {finding.suggested:g}':^{WIDTH - 20}}{last:>10.1e}"
    return "\n".join([*lines, " " * 10 + "└" + "─" * WIDTH, " " * 11 + ends])


def save_plot(finding: LrFindResult, path: Path) -> bool:
    """Save the losses as a PNG; return False where matplotlib is not installed."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        return False
    plt.switch_backend("agg")
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    axes.axvspan(finding.low, finding.high, color="#4c72b0", alpha=0.15, label="nearly as good")
    axes.axvline(finding.suggested, color="#c44e52", label=f"suggested {finding.suggested:g}")
    for style, trainings in (("o:", finding.survey), ("o-", finding.curve)):
        face = "white" if style == "o:" else "#4c72b0"
        label = f"{len(trainings)} trainings of {trainings[0].steps:,} steps"
        x, y = _finite(trainings)
        axes.plot(x, y, style, color="#4c72b0", mfc=face, label=label)
    for point in (*finding.survey, *finding.curve):
        if not math.isfinite(point.loss):
            axes.axvline(point.lr, color="0.7", linestyle=":", linewidth=1)
    axes.set(xscale="log", xlabel="learning rate", ylabel="validation loss")
    _scale(axes, [p.loss for p in (*finding.survey, *finding.curve) if math.isfinite(p.loss)])
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return True


def _finite(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    finite = [p for p in points if math.isfinite(p.loss)]
    return [p.lr for p in finite], [p.loss for p in finite]


def _scale(axes: Axes, losses: Sequence[float]) -> None:
    """Set a log scale; where a loss is 0, one that is linear below the smallest decade."""
    positive = [loss for loss in losses if loss > 0]
    if len(positive) == len(losses):
        axes.set(yscale="log")
    elif positive:
        decade = 10.0 ** math.floor(math.log10(min(positive)))
        decades = math.log10(max(positive) / decade)
        axes.set_yscale("symlog", linthresh=decade, linscale=max(0.2, decades / 10))
        axes.set_ylim(-0.3 * decade, 3 * max(positive))
        every = max(1, math.ceil(decades / 8))
        powers = range(0, math.ceil(decades) + 1, every)
        axes.set_yticks([0.0, *(decade * 10.0**power for power in powers)])
        axes.set_yticks([], minor=True)


def _height(loss: float, low: float, high: float, zero: bool) -> int:
    """Return the row of a loss, counted from below; losses of 0 have a row of their own."""
    if loss <= 0:
        return 0
    return int(zero) + _cell(loss, low, high, HEIGHT - int(zero))


def _cell(value: float, low: float, high: float, size: int) -> int:
    """Return the cell of a value on a log scale of `size` cells."""
    if not 0 < low < high:
        return 0
    share = math.log(value / low) / math.log(high / low)
    return round(min(share, 1.0) * (size - 1))
