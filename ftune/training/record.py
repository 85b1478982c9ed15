"""Watches a training: metrics, checkpoints, the progress bar, and signals."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ftune.adapt.quantize import load_tensors
from ftune.build import Parts
from ftune.console import Console, Progress
from ftune.drive import selection_of
from ftune.engine.decision import Decision, Reason
from ftune.engine.diagnose import first_broken
from ftune.engine.selection import Evaluation, Scores, Selection
from ftune.engine.state import State
from ftune.engine.step import StepResult
from ftune.errors import CheckpointError, DivergedError
from ftune.runs import checkpoint
from ftune.runs.checkpoint import Checkpoint
from ftune.runs.folder import Metrics, RunFolder
from ftune.runtime.signals import Stopper
from ftune.training.describe import checkpoint_of, story
from ftune.training.exact import exactness
from ftune.training.pace import Pace
from ftune.training.saving import Facts, Saver


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
        """From the loop state of a checkpoint; its ranking has values of which larger is better."""
        ranking = tuple(
            Evaluation(row["step"], -selection.cost(row["value"]), row["loss"])
            for row in loop.get("ranking", ())
        )
        parts = loop.get("unlogged_parts", {})
        return cls(loop["step"], tuple(loop["unlogged"]), parts, ranking, loop.get("anchor"))


class Recorder:
    """Writes what a training does into its run folder, and shows it."""

    def __init__(
        self,
        parts: Parts,
        folder: RunFolder,
        console: Console,
        bar: Progress,
        stopper: Stopper,
        resumed: Resumed | None = None,
        pause_at: int | None = None,
    ) -> None:
        """Asks for a pause at `pause_at` (a rung of a sweep)."""
        resumed = resumed or Resumed()
        self.parts, self.folder, self.console = parts, folder, console
        self.bar, self.stopper, self.pause_at = bar, stopper, pause_at
        self.metrics = Metrics(folder.path / "metrics.jsonl", resumed.step)
        self.began = self.saved = time.monotonic()
        self.saved_step, self.regular = resumed.step, False
        per_epoch = parts.batches.steps_per_epoch
        self.log_every = parts.config.train.log_every or max(1, per_epoch // 10)
        self.save_every = parts.config.train.checkpoint_every.in_steps(per_epoch)
        self.selection = selection_of(parts)
        train = parts.config.train
        self.saver = Saver(folder.checkpoints, train.keep, self.selection, resumed.ranking)
        self.anchor = resumed.anchor
        self.story = {**story(parts), "exact": exactness(parts)}
        self.sum, self.count = resumed.unlogged
        self.parts_sum = dict(resumed.unlogged_parts)
        self.newest: list[str] = []
        self.pace = Pace(parts.config.task.target_kind == "tokens")

    def log(self, state: State, result: StepResult) -> None:
        """One line of metrics.jsonl every `log_every` steps: the mean loss since the last."""
        if result.fault:
            self._write(state, "fault", reason=result.fault)
            return
        self.sum += result.loss
        self.count += 1
        for name, part in result.parts.items():
            self.parts_sum[name] = self.parts_sum.get(name, 0.0) + part
        if self.pace.count(result):
            self.bar.update(state.step, ", ".join([*self.pace.words(), *self.newest]))
        if state.step % self.log_every == 0:
            extra = {f"loss/{name}": part / self.count for name, part in self.parts_sum.items()}
            extra |= {} if result.grad_norm is None else {"grad_norm": result.grad_norm}
            self._write(state, "train", loss=self.sum / self.count, lr=state.lr, **extra)
            self.sum = self.count = 0.0
            self.parts_sum.clear()

    def saw(self, state: State, scores: Scores) -> None:
        """One line for each evaluation."""
        self._write(state, "val", **scores)
        self.metrics.flush()
        self.newest = [f"val {self.selection.metric} {scores[self.selection.metric]:.4g}"]
        self.bar.update(state.step, self.newest[0])
        self.pace.restart()

    def save_due(self, state: State, scores: Scores | None) -> bool:
        """Return whether a checkpoint is due: among the best, at its interval, or asked for."""
        ranked = self._ranked(state, scores) is not None
        self.regular = ranked or state.step == 0 or self._due(state)
        return self.regular or self.stopper.save

    def save(self, state: State, scores: Scores | None, decision: Decision) -> None:
        """Save what the decision says, and at the end.

        Weights that are not finite are never saved; where they are to be answered, the next step
        will find them.
        """
        ending = decision.stop is not None
        if state.step == self.saved_step:  # resumed here: saved, but perhaps killed before pointing
            self.saver.point(state.step, self._best(state))
        elif decision.save or ending:
            self._save(state, self._ranked(state, scores), ending, self.regular)
        if self.stopper.save:
            self.stopper.save = False
            self.console.info(f"saved at step {state.step:,}, as SIGUSR1 asked")
        if ending:
            self.saver.wait()

    def _save(self, state: State, ranked: Evaluation | None, ending: bool, regular: bool) -> None:
        moving = ((n, p) for n, p in state.model.named_parameters() if p.requires_grad)
        broken = first_broken(moving, "parameter")
        if broken and (ending or self.parts.config.train.non_finite.policy == "stop"):
            raise DivergedError(f"after step {state.step:,}: {broken}; this state is not saved")
        if broken:
            return
        self.metrics.flush()
        if ranked is not None:
            self.saver.rank(ranked)
        if regular and self.parts.config.train.rolls_back:
            self.anchor = state.step
        content = checkpoint_of(self.parts, state, self.story, self._recorded())
        others = [] if self.anchor is None else [self.anchor]
        self.saver.save(content, state.step, self._best(state), others)
        self.saved, self.saved_step = time.monotonic(), state.step

    def _recorded(self) -> dict[str, Any]:
        """What `Resumed.of` reads."""
        return {
            "unlogged": (self.sum, self.count),
            "unlogged_parts": dict(self.parts_sum),
            "ranking": [
                {"value": -self.selection.cost(e.value), "loss": e.loss, "step": e.step}
                for e in self.saver.ranking
            ],
            "anchor": self.anchor,
        }

    def _ranked(self, state: State, scores: Scores | None) -> Evaluation | None:
        """This evaluation, if it is one of the best."""
        evaluation = self.selection.evaluation(scores, state.step) if scores else None
        if evaluation is None:
            return None
        best = state.best is not None and state.best.step == state.step
        return evaluation if best or self.saver.ranks(evaluation) else None

    def _best(self, state: State) -> Facts | None:
        """For the pointer, where this step is the best one."""
        if state.best is None or state.best.step != state.step:
            return None
        return {"metric": self.selection.metric, "value": state.best.value}

    def back(self, state: State) -> str:
        """Takes weights and optimizer back from the last regular checkpoint that is whole.

        Not from one that a signal left: the undisturbed run would not have it.
        """
        self.saver.wait()
        saved = self._anchored()
        load_tensors(state.model, {**saved.frozen, **saved.model})
        state.load_learned(saved.training, saved.meta["loop"])
        return f"the weights are those of step {saved.meta['loop']['step']:,} again"

    def _anchored(self) -> Checkpoint:
        folder = self.folder.checkpoints
        if self.anchor is not None:
            with suppress(CheckpointError):
                return checkpoint.load(checkpoint.place(folder, self.anchor))
        return checkpoint.newest_valid(folder)[0]

    def tell(self, text: str) -> None:
        self.console.warn(text)

    def stop(self, state: State) -> Reason | None:
        if self.stopper.signal is not None:
            return "interrupted"
        return "paused" if self.pause_at is not None and state.step >= self.pause_at else None

    def idle(self, names: Sequence[str], why: str) -> None:
        """Parameters that are to be trained and got no gradient: the usual silent fault."""
        shown = ", ".join(names[:6]) + (f", … ({len(names)} in all)" if len(names) > 6 else "")
        self.console.warn(f"trained but without gradient: {shown}; {why}")

    def close(self) -> None:
        self.saver.close()
        with suppress(OSError):  # a full disk; whoever noticed it first has said so
            self.metrics.close()

    def _due(self, state: State) -> bool:
        minutes = self.parts.config.train.checkpoint_every.minutes
        if minutes is not None and time.monotonic() - self.saved >= 60 * minutes:
            return True
        return self.save_every is not None and state.step % self.save_every == 0

    def _write(self, state: State, split: str, **values: Any) -> None:
        epoch = state.step / self.parts.batches.steps_per_epoch
        seconds = round(time.monotonic() - self.began, 3)
        self.metrics.write(
            step=state.step, epoch=round(epoch, 4), split=split, **values, time=seconds
        )
