"""Callbacks: what happens beside the steps of a training, one job each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from ftune.engine.decision import Decision, Reason
from ftune.engine.scores import Scores
from ftune.engine.state import State
from ftune.engine.step import StepResult


class Callback:
    """One job beside a training; a subclass overrides what it needs, the rest does nothing."""

    def on_evaluate(self, state: State, scores: Scores) -> None:
        """Called after an evaluation, before its scores are judged."""

    def save_due(self, state: State, scores: Scores | None) -> bool:
        """Return whether a checkpoint is due."""
        del state, scores
        return False

    def stop(self, state: State) -> Reason | None:
        """Return why the training ends before its last step, None where it goes on."""
        del state
        return None

    def save(self, state: State, scores: Scores | None, decision: Decision) -> None:
        """Called before every step and at the end, whether or not a checkpoint is due."""

    def on_step(self, state: State, result: StepResult) -> None:
        """Called after every step, also after one that was left out."""

    def on_no_grad(self, names: Sequence[str], why: str) -> None:
        """Called with the trained parameters that got no gradient."""

    def rollback(self, state: State) -> str:
        """Load an earlier state and return a sentence; "" where there is none."""
        del state
        return ""

    def warn(self, text: str) -> None:
        """Called with a sentence for the user."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs, as JSON for the `loop` of a checkpoint."""
        return {}

    def close(self) -> None:
        """Called once at the end, whatever happened."""


class Callbacks(Callback):
    """Several callbacks as one, called in order and closed in reverse."""

    def __init__(self, *callbacks: Callback) -> None:
        self.callbacks = callbacks

    def on_evaluate(self, state: State, scores: Scores) -> None:
        for callback in self.callbacks:
            callback.on_evaluate(state, scores)

    def save_due(self, state: State, scores: Scores | None) -> bool:
        due = [callback.save_due(state, scores) for callback in self.callbacks]  # all are asked
        return any(due)

    def stop(self, state: State) -> Reason | None:
        return next(filter(None, (callback.stop(state) for callback in self.callbacks)), None)

    def save(self, state: State, scores: Scores | None, decision: Decision) -> None:
        for callback in self.callbacks:
            callback.save(state, scores, decision)

    def on_step(self, state: State, result: StepResult) -> None:
        for callback in self.callbacks:
            callback.on_step(state, result)

    def on_no_grad(self, names: Sequence[str], why: str) -> None:
        for callback in self.callbacks:
            callback.on_no_grad(names, why)

    def rollback(self, state: State) -> str:
        """Let the first that has an earlier state load it."""
        return next(filter(None, (callback.rollback(state) for callback in self.callbacks)), "")

    def warn(self, text: str) -> None:
        for callback in self.callbacks:
            callback.warn(text)

    def state_dict(self) -> dict[str, Any]:
        return {k: v for callback in self.callbacks for k, v in callback.state_dict().items()}

    def close(self) -> None:
        with ExitStack() as stack:
            for callback in self.callbacks:
                stack.callback(callback.close)


class NullCallback(Callback):
    """Keeps the scores of the last evaluation; `interrupted` is asked after every step.

    For short trials that only give a number.
    """

    def __init__(self, interrupted: Callable[[], bool] = lambda: False) -> None:
        self.interrupted = interrupted
        self.scores: Scores = {}

    def on_evaluate(self, state: State, scores: Scores) -> None:
        del state
        self.scores = scores

    def stop(self, state: State) -> Reason | None:
        del state
        return "interrupted" if self.interrupted() else None
