"""The plots of a search show every loss, 0 included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ftune.commands.lr_find import mark_of
from ftune.report.lr_curve import HEIGHT, LEGEND, plot, save_plot
from ftune.search.lr_find import LrFindResult
from ftune.search.ties import Point

RATES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def finding(*losses: float) -> LrFindResult:
    points = tuple(Point(rate, loss, 9) for rate, loss in zip(RATES, losses, strict=True))
    return LrFindResult(0.01, 0.01, 0.1, points, points, False)


def heights(text: str) -> list[int]:
    """The row of each point from left to right, counted from the bottom; the labels left out."""
    rows = [line[11:].ljust(64) for line in text.splitlines()[:HEIGHT]]
    columns = [
        [HEIGHT - 1 - row for row in range(HEIGHT) if rows[row][column] in "●○"]
        for column in range(64)
    ]
    return [column[0] for column in columns if column]


def test_losses_of_zero_stand_in_a_row_of_their_own() -> None:
    text = plot(finding(1.0, 1e-2, 0.0, 0.0, 1e-4))
    assert heights(text) == [11, 6, 0, 0, 1]
    labels = [line[:11].split()[0] for line in text.splitlines() if line[:11].strip("│ ┤")]
    assert labels[:3] == ["1", "0.0001", "0"]


def test_without_a_zero_the_whole_height_is_a_ratio_scale() -> None:
    assert heights(plot(finding(1.0, 1e-11, 1e-2, 1e-4, 1e-6))) == [11, 0, 9, 7, 5]


@pytest.mark.parametrize("losses", [(0.0,) * 5, (1.0,) * 5, (0.5, 0.0, 0.5, 0.5, float("inf"))])
def test_any_losses_can_be_drawn(losses: tuple[float, ...], tmp_path: Path) -> None:
    assert plot(finding(*losses))
    pytest.importorskip("matplotlib")
    assert save_plot(finding(*losses), tmp_path / "lr.png")


def test_the_png_has_a_place_for_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every point lies within the axes of the figure, as matplotlib itself places it."""
    plt = pytest.importorskip("matplotlib.pyplot")
    shown: list[Any] = []
    monkeypatch.setattr(plt, "close", shown.append)
    losses = (1.0, 1e-2, 0.0, 0.0, 1e-9)
    assert save_plot(finding(*losses), tmp_path / "lr.png")
    axes = shown[0].axes[0]
    bottom, top = axes.get_ylim()
    assert bottom < 0 < max(losses) < top
    places = axes.transData.transform([(1.0, loss) for loss in sorted(losses)])[:, 1]
    low, high = axes.bbox.y0, axes.bbox.y1
    assert low < places[0] < places[2] < places[3] < places[4] < high
    assert 0.0 in axes.get_yticks()
    axes.set_yscale("log")  # control: a plain ratio scale has no place for it
    assert 0.0 not in axes.get_yticks()


def test_only_rates_that_are_not_the_best_are_nearly_as_good() -> None:
    searched = finding(1.0, 0.5, 0.1, 0.1001, 2.0)
    marks = [mark_of(point, searched) for point in searched.curve]
    assert marks == ["", "", "best", "nearly as good", ""]
    assert all(mark in LEGEND for mark in "○●×") and "bar" in LEGEND
