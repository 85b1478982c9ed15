"""Between which ends the numbers of the training rows lie, and which new ones lie far beyond."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ftune.data.frame import Frame

Ranges = Mapping[str, tuple[float, float]]


def ranges_of(frame: Frame) -> dict[str, tuple[float, float]]:
    """Lowest and highest known value of each column of numbers."""
    columns = {name: frame[name] for name in frame.named("number")}
    known = {name: column for name, column in columns.items() if not np.isnan(column).all()}
    return {n: (float(np.nanmin(column)), float(np.nanmax(column))) for n, column in known.items()}


def far_beyond(frame: Frame, ranges: Ranges) -> list[str]:
    """A sentence a column whose values lie outside by more than the range is wide.

    So that ordinary new rows, of which some lie a little outside, are passed over.
    """
    return [
        sentence
        for name, ends in ranges.items()
        if name in frame.columns and (sentence := _sentence(frame, name, *ends))
    ]


def _sentence(frame: Frame, name: str, low: float, high: float) -> str:
    values, width = frame[name], high - low
    far = (values < low - width) | (values > high + width)
    if not far.any():
        return ""
    first = int(np.flatnonzero(far)[0])
    count = int(far.sum())
    what = "1 value lies" if count == 1 else f"{count:,} values lie"
    return (
        f"`{name}`: {what} far outside of what training saw, {low:,.6g} to {high:,.6g}"
        f" ({values[first]:,.6g} in row {frame.rows[first]}); do not rely on such predictions."
    )
