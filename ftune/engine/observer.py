"""A training that nobody watches: for short trials that only give a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ftune.engine.decision import Decision, Reason
from ftune.engine.selection import Scores
from ftune.engine.state import State
from ftune.engine.step import StepResult
from ftune.errors import DivergedError


class NullCallback:
    """Keeps the scores of the last evaluation; `interrupted` is asked after every step."""

    def __init__(self, interrupted: Callable[[], bool] = lambda: False) -> None:
        self.interrupted = interrupted
        self.scores: Scores = {}

    def saw(self, state: State, scores: Scores) -> None:
        del state
        self.scores = scores

    def save_due(self, state: State, scores: Scores | None) -> bool:
        """Nothing is saved."""
        del state, scores
        return False

    def save(self, state: State, scores: Scores | None, decision: Decision) -> None:
        """Nothing is saved."""

    def log(self, state: State, result: StepResult) -> None:
        """Nothing is written."""

    def stop(self, state: State) -> Reason | None:
        del state
        return "interrupted" if self.interrupted() else None

    def idle(self, names: Sequence[str], why: str) -> None:
        """The training proper will say it."""

    def tell(self, text: str) -> None:
        """The training proper will say it."""

    def back(self, state: State) -> str:
        """Nothing was kept to go back to."""
        raise DivergedError(f"step {state.step + 1:,} cannot be taken back: nothing was saved")
