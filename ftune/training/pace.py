"""How a training goes at the moment, in words for the progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable

from ftune.engine.step import StepResult

WINDOW_SECONDS = 0.5


class Pace:
    """Loss and speed over the steps since the last words, evaluations left out."""

    def __init__(self, tokens: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """tokens: whether what a step weighs are tokens, whose number is shown."""
        self.tokens, self.clock = tokens, clock
        self.restart()

    def restart(self) -> None:
        """After what is no step, as an evaluation."""
        self.began = self.clock()
        self.steps, self.loss, self.weight = 0, 0.0, 0.0

    def count(self, result: StepResult) -> bool:
        """Takes a step in; whether it is time for words."""
        self.steps += 1
        self.loss += result.loss
        self.weight += result.weight
        return self.clock() - self.began >= WINDOW_SECONDS

    def words(self) -> list[str]:
        """`loss 0.53`, below one step a second `3.2 s/step`, and `1,234 tokens/s`."""
        seconds = max(self.clock() - self.began, 1e-9)
        each = seconds / max(self.steps, 1)
        speed = f"{each:.1f} s/step" if each > 1 else f"{1 / each:,.0f} steps/s"
        parts = [f"loss {self.loss / max(self.steps, 1):.4g}", speed]
        parts += [f"{self.weight / seconds:,.0f} tokens/s"] if self.tokens else []
        self.restart()
        return parts
