"""When a training is saved, which checkpoints stay, and the way back to one of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ftune.adapt.quantize import load_tensors
from ftune.assembly.parts import Parts
from ftune.engine.callback import Callback
from ftune.engine.decision import Decision
from ftune.engine.diagnose import first_broken
from ftune.engine.scores import Evaluation, Scores
from ftune.engine.state import State
from ftune.errors import CheckpointError, DivergedError
from ftune.runs import checkpoint
from ftune.runs.checkpoint import Checkpoint
from ftune.training.checkpoint_content import checkpoint_of
from ftune.training.resumed import Resumed
from ftune.training.saving import Facts, Saver


@dataclass(frozen=True)
class CheckpointPolicy:
    """When a training is saved besides its best states.

    every_steps, every_minutes: how often. rolls_back: whether a fault may go back to a checkpoint.
    refuses_broken: whether weights that are not finite end the run.
    """

    every_steps: int | None
    every_minutes: float | None
    rolls_back: bool
    refuses_broken: bool


class Checkpointer(Callback):
    """Saves the best states, one at each interval and the last; rolls back to one of them."""

    def __init__(
        self, parts: Parts, saver: Saver, policy: CheckpointPolicy, metadata: Mapping[str, Any],
        resumed: Resumed, others: Sequence[Callback] = (),
    ) -> None:  # fmt: skip
        """metadata: `model_card` and `exactness` of the training, the same in each checkpoint.

        others: callbacks whose `state_dict` goes into each checkpoint, before its own.
        """
        self.parts, self.saver, self.policy = parts, saver, policy
        self.metadata, self.others, self.selection = metadata, others, saver.selection
        self.saved_step, self.saved_time = resumed.step, time.monotonic()
        self.anchor, self.regular = resumed.anchor, False
        self.ranked: Evaluation | None = None

    def save_due(self, state: State, scores: Scores | None) -> bool:
        """Return whether this state is among the best, the first, or due by the interval."""
        self.ranked = self._ranked(state, scores)
        self.regular = self.ranked is not None or state.step == 0 or self._interval_over(state)
        return self.regular

    def save(self, state: State, scores: Scores | None, decision: Decision) -> None:
        """Save where the decision says so, and at the end, which waits for the disk."""
        del scores
        ending = decision.stop is not None
        if state.step == self.saved_step:  # resumed here: saved, but perhaps killed before pointing
            self.saver.point(state.step, self._best(state))
        elif decision.save or ending:
            self.write(state, ending)
        if ending:
            self.saver.wait()

    def write(self, state: State, ending: bool = False) -> None:
        """Write a checkpoint now. Raises DivergedError for weights that are not finite.

        These are never saved; where a later step is to answer for them, nothing is raised.
        """
        moving = ((n, p) for n, p in state.model.named_parameters() if p.requires_grad)
        broken = first_broken(moving, "parameter")
        if broken and (ending or self.policy.refuses_broken):
            raise DivergedError(f"after step {state.step:,}: {broken}; this state is not saved")
        if broken:
            return
        if self.ranked is not None:
            self.saver.rank(self.ranked)
        if self.regular and self.policy.rolls_back:
            self.anchor = state.step
        states = [callback.state_dict() for callback in (*self.others, self)]
        loop = {name: value for each in states for name, value in each.items()}
        content = checkpoint_of(self.parts, state, self.metadata, loop)
        anchors = [] if self.anchor is None else [self.anchor]
        self.saver.save(content, state.step, self._best(state), anchors)
        self.saved_step, self.saved_time = state.step, time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        ranking = [
            {"value": -self.selection.cost(e.value), "loss": e.loss, "step": e.step}
            for e in self.saver.ranking
        ]
        return {"ranking": ranking, "anchor": self.anchor}

    def rollback(self, state: State) -> str:
        """Load weights and optimizer of the last regular checkpoint that is whole.

        Not of one that a signal left: the undisturbed run would not have it.
        """
        self.saver.wait()
        saved = self._anchored()
        load_tensors(state.model, {**saved.frozen, **saved.model})
        loop = saved.loop
        state.load_learned(saved.training, loop.to_json())
        return f"the weights are those of step {loop.step:,} again"

    def close(self) -> None:
        self.saver.close()

    def _anchored(self) -> Checkpoint:
        if self.anchor is not None:
            with suppress(CheckpointError):
                return checkpoint.load(checkpoint.place(self.saver.folder, self.anchor))
        return checkpoint.newest_valid(self.saver.folder)[0]

    def _ranked(self, state: State, scores: Scores | None) -> Evaluation | None:
        """Return this evaluation if it is one of the best, else None."""
        evaluation = self.selection.evaluation(scores, state.step) if scores else None
        if evaluation is None:
            return None
        best = state.best is not None and state.best.step == state.step
        return evaluation if best or self.saver.ranks(evaluation) else None

    def _best(self, state: State) -> Facts | None:
        """Return the facts for the pointer `best` if this step is the best one, else None."""
        if state.best is None or state.best.step != state.step:
            return None
        return {"metric": self.selection.metric, "value": state.best.value}

    def _interval_over(self, state: State) -> bool:
        minutes, steps = self.policy.every_minutes, self.policy.every_steps
        if minutes is not None and time.monotonic() - self.saved_time >= 60 * minutes:
            return True
        return steps is not None and state.step % steps == 0
