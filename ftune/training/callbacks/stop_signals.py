"""What signals, and the rungs of a sweep, ask of a training."""

from __future__ import annotations

from ftune.console import Console
from ftune.engine.callback import Callback
from ftune.engine.decision import Decision, Reason
from ftune.engine.scores import Scores
from ftune.engine.state import State
from ftune.runtime.signals import Stopper


class StopSignals(Callback):
    """Stops at a signal or at the step `pause_at`; lets SIGUSR1 save a checkpoint.

    Comes after the callback that saves, whose work it reports.
    """

    def __init__(self, console: Console, stopper: Stopper, pause_at: int | None = None) -> None:
        self.console, self.stopper, self.pause_at = console, stopper, pause_at

    def save_due(self, state: State, scores: Scores | None) -> bool:
        del state, scores
        return self.stopper.save

    def stop(self, state: State) -> Reason | None:
        if self.stopper.signal is not None:
            return "interrupted"
        return "paused" if self.pause_at is not None and state.step >= self.pause_at else None

    def save(self, state: State, scores: Scores | None, decision: Decision) -> None:
        """Say that the checkpoint is there; a signal that came too late for it stays asked."""
        del scores
        if self.stopper.save and (decision.save or decision.stop is not None):
            self.stopper.save = False
            self.console.info(f"saved at step {state.step:,}, as SIGUSR1 asked")
