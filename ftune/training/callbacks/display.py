"""What a training shows on the console: its progress bar and its warnings."""

from __future__ import annotations

from collections.abc import Sequence

from ftune.console import Console, Progress
from ftune.engine.callback import Callback
from ftune.engine.scores import Scores
from ftune.engine.state import State
from ftune.engine.step import StepResult
from ftune.training.pace import Pace


class ProgressBar(Callback):
    """Shows loss, speed and the newest validation score."""

    def __init__(self, bar: Progress, metric: str, tokens: bool) -> None:
        """metric: which one is shown. tokens: whether a step weighs tokens."""
        self.bar, self.metric, self.pace = bar, metric, Pace(tokens)
        self.newest: list[str] = []

    def on_step(self, state: State, result: StepResult) -> None:
        if not result.fault and self.pace.count(result):
            self.bar.update(state.step, ", ".join([*self.pace.words(), *self.newest]))

    def on_evaluate(self, state: State, scores: Scores) -> None:
        self.newest = [f"val {self.metric} {scores[self.metric]:.4g}"]
        self.bar.update(state.step, self.newest[0])
        self.pace.restart()


class Warnings(Callback):
    """Shows warnings: faults, and parameters that are trained without a gradient."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def warn(self, text: str) -> None:
        self.console.warn(text)

    def on_no_grad(self, names: Sequence[str], why: str) -> None:
        shown = ", ".join(names[:6]) + (f", … ({len(names)} in all)" if len(names) > 6 else "")
        self.console.warn(f"trained but without gradient: {shown}; {why}")
