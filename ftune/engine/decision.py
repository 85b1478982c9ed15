"""What follows a step: the one decision that the processes of a training take together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from ftune.distributed.group import Group

Reason = Literal["paused", "early", "interrupted", "done"]
_REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True)
class Decision:
    """save: a checkpoint is due. stop: why the training ends here, None where it goes on."""

    save: bool = False
    stop: Reason | None = None

    def ending(self) -> Decision:
        """Return the decision after the last step: whatever else there is, the training is done."""
        return replace(self, stop="done")

    def agreed(self, group: Group) -> Decision:
        """Return the decision of all ranks: one that saves or stops takes the others along.

        A clock, a signal or a full disk speaks to one process; were it to act alone, the others
        would wait for it. Of several reasons to stop the last in `Reason` counts.
        """
        vote = 0 if self.stop is None else 1 + _REASONS.index(self.stop)
        save, stop = group.agree([self.save, vote])
        return Decision(bool(save), _REASONS[stop - 1] if stop else None)
