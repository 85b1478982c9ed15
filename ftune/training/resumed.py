"""What the callbacks of a continued training go on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ftune.engine.scores import Evaluation
from ftune.engine.selection import Selection
from ftune.runs.loop_state import LoopState


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
    def of(cls, loop: LoopState, selection: Selection) -> Resumed:
        """Return where the loop of a checkpoint goes on; in its ranking larger is better."""
        ranking = tuple(
            Evaluation(mark.step, -selection.cost(mark.value), mark.loss) for mark in loop.ranking
        )
        return cls(loop.step, loop.unlogged, loop.unlogged_parts, ranking, loop.anchor)
