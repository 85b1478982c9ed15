"""metrics.jsonl: the mean losses, every evaluation, every fault."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ftune.engine.callback import Callback
from ftune.engine.decision import Decision
from ftune.engine.scores import Scores
from ftune.engine.state import State
from ftune.engine.step import StepResult
from ftune.runs.folder import Metrics
from ftune.training.resumed import Resumed


class MetricsLog(Callback):
    """Writes a line every `log_every` steps, after each evaluation and after each fault."""

    def __init__(self, path: Path, per_epoch: int, log_every: int | None, resumed: Resumed) -> None:
        """per_epoch: steps of one. log_every: None for ten lines an epoch."""
        self.per_epoch, self.log_every = per_epoch, log_every or max(1, per_epoch // 10)
        self.metrics = Metrics(path, resumed.step)
        self.sum, self.count = resumed.unlogged
        self.parts_sum = dict(resumed.unlogged_parts)
        self.began = time.monotonic()

    def on_step(self, state: State, result: StepResult) -> None:
        """Add the loss and its parts; write their means since the last line where one is due."""
        if result.fault:
            self._write(state, "fault", reason=result.fault)
            return
        self.sum += result.loss
        self.count += 1
        for name, part in result.parts.items():
            self.parts_sum[name] = self.parts_sum.get(name, 0.0) + part
        if state.step % self.log_every == 0:
            extra = {f"loss/{name}": part / self.count for name, part in self.parts_sum.items()}
            extra |= {} if result.grad_norm is None else {"grad_norm": result.grad_norm}
            self._write(state, "train", loss=self.sum / self.count, lr=state.lr, **extra)
            self.sum = self.count = 0.0
            self.parts_sum.clear()

    def on_evaluate(self, state: State, scores: Scores) -> None:
        self._write(state, "val", **scores)
        self.metrics.flush()

    def save(self, state: State, scores: Scores | None, decision: Decision) -> None:
        """Flush, so that no checkpoint is ahead of the lines on the disk."""
        del state, scores
        if decision.save or decision.stop is not None:
            self.metrics.flush()

    def state_dict(self) -> dict[str, Any]:
        return {"unlogged": (self.sum, self.count), "unlogged_parts": dict(self.parts_sum)}

    def close(self) -> None:
        with suppress(OSError):  # a full disk; whoever noticed it first has said so
            self.metrics.close()

    def _write(self, state: State, split: str, **values: Any) -> None:
        epoch = round(state.step / self.per_epoch, 4)
        seconds = round(time.monotonic() - self.began, 3)
        self.metrics.write(step=state.step, epoch=epoch, split=split, **values, time=seconds)
