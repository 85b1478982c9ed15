"""What "best" means: by which metric, which way, by how much, and what ties go by."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ftune.engine.scores import Evaluation, Scores
from ftune.engine.state import State


@dataclass(frozen=True)
class Selection:
    """Chooses among evaluations, for a training and for a sweep over trainings.

    patience: evaluations without a gain after which a training ends, None for no end. min_delta:
    the least gain that starts the patience anew; it does not decide what is best. keep_best: how
    many evaluations keep their checkpoint.
    """

    metric: str
    mode: Literal["max", "min"]
    patience: int | None = None
    min_delta: float = 0.0
    keep_best: int = 1

    def cost(self, value: float) -> float:
        """A value of the metric turned so that smaller is better."""
        return -value if self.mode == "max" else value

    def order(self, evaluation: Evaluation) -> tuple[float, float, int]:
        """Sorts the best first: ties go by the lower loss, then by the earlier step."""
        return self.cost(evaluation.value), evaluation.loss, evaluation.step

    def evaluation(self, scores: Scores, step: int) -> Evaluation | None:
        """The evaluation of these scores, or None where it is not finite and beats nothing."""
        evaluation = Evaluation(step, scores[self.metric], scores.get("loss", 0.0))
        finite = math.isfinite(evaluation.value) and math.isfinite(evaluation.loss)
        return evaluation if finite else None

    def best(self, evaluations: Iterable[Evaluation]) -> list[Evaluation]:
        """The `keep_best` best, in order."""
        return sorted(evaluations, key=self.order)[: self.keep_best]

    def gain(self, evaluation: Evaluation, other: Evaluation) -> float:
        """By how much an evaluation's metric beats that of another."""
        return self.cost(other.value) - self.cost(evaluation.value)

    def beats(self, evaluation: Evaluation, best: Evaluation | None) -> bool:
        """Whether an evaluation takes the place of the best so far."""
        return best is None or self.order(evaluation)[:2] < self.order(best)[:2]

    def judge(self, state: State, scores: Scores) -> None:
        """Updates the best evaluation, and the one that the patience is counted from."""
        state.last_eval_step = state.step
        evaluation = self.evaluation(scores, state.step)
        state.evals_since_gain += 1
        if evaluation is None:
            return
        if self.beats(evaluation, state.best):
            state.best = evaluation
        if self._starts_anew(evaluation, state.reference):
            state.reference, state.evals_since_gain = evaluation, 0

    def exhausted(self, state: State) -> bool:
        """Whether the patience has come to its end."""
        return self.patience is not None and state.evals_since_gain >= self.patience

    def _starts_anew(self, evaluation: Evaluation, reference: Evaluation | None) -> bool:
        if reference is None:
            return True
        if self.min_delta:
            return self.gain(evaluation, reference) > self.min_delta
        return self.beats(evaluation, reference)
