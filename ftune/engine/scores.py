"""What an evaluation found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Scores = Mapping[str, float]
"""Name of a metric -> its value."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation. value: of the selection metric, in its own direction."""

    step: int
    value: float
    loss: float
