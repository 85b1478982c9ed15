"""What the callbacks of a continued training go on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ftune.engine.selection import Evaluation, Selection


@dataclass(frozen=True)
class Resumed:
    """Where a run goes on.

    unlogged: sum and count of the losses since the last line. unlogged_parts: sums of the parts of
    the losses. ranking: the best evaluations.
    anchor: where a rollback goes: the last checkpoint that the undisturbed run has too.
    """

    step: int = -1
    unlogged: tuple[float, float] = (0.0, 0.0)
    unlogged_parts: Mapping[str, float] = field(default_factory=dict)
    ranking: tuple[Evaluation, ...] = ()
    anchor: int | None = None

    @classmethod
    def of(cls, loop: Mapping[str, Any], selection: Selection) -> Resumed:
        """Read the loop state of a checkpoint; in its ranking larger values are better."""
        ranking = tuple(
            Evaluation(row["step"], -selection.cost(row["value"]), row["loss"])
            for row in loop.get("ranking", ())
        )
        parts = loop.get("unlogged_parts", {})
        return cls(loop["step"], tuple(loop["unlogged"]), parts, ranking, loop.get("anchor"))
