"""Checkpoints on their way to the disk: copied at once, written beside the training."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from ftune.engine.scores import Evaluation
from ftune.engine.selection import Selection
from ftune.errors import FtuneError, OutOfMemoryError, RunFailedError
from ftune.runs import checkpoint
from ftune.runs.checkpoint import Checkpoint
from ftune.runs.files import free_bytes
from ftune.runs.frozen import IN_RUN, FrozenStorage

Facts = Mapping[str, Any]


class Saver:
    """Writes a run's checkpoints in one thread, one after the other.

    At most one is being written; the next waits for it, and hears of its failure.
    """

    def __init__(
        self, folder: Path, keep: int, selection: Selection, ranking: Sequence[Evaluation] = (),
        storage: FrozenStorage = IN_RUN,
    ) -> None:  # fmt: skip
        """ranking: the best evaluations so far, of a resumed run."""
        self.storage = storage
        self.folder, self.keep, self.selection = folder, keep, selection
        self.pool = ThreadPoolExecutor(1, "checkpoint")
        self.pool.submit(int).result()  # the thread is there before memory is short
        self.pending: Future[None] | None = None
        self.ranking = list(ranking)

    def ranks(self, evaluation: Evaluation) -> bool:
        """Whether an evaluation is among the best `keep_best` so far."""
        return evaluation in self.selection.best([*self.ranking, evaluation])

    def rank(self, evaluation: Evaluation) -> None:
        """Takes an evaluation among the best, before it is saved."""
        self.ranking = self.selection.best([*self.ranking, evaluation])

    def save(
        self, content: Checkpoint, step: int, best: Facts | None, others: Collection[int] = ()
    ) -> None:
        """Copies the state, then returns; without memory for a copy, writes it first.

        best: facts for the pointer, if it is the best. others: steps to keep beside those ranked.
        Raises RunFailedError where the last one could not be written.
        """
        self.wait()
        steps = {*others, *(evaluation.step for evaluation in self.ranking)}
        try:
            content = content.copied()
        except OutOfMemoryError:
            self._write(content, step, best, steps)
            return
        self.pending = self.pool.submit(self._write, content, step, best, steps)

    def point(self, step: int, best: Facts | None) -> None:
        """Points at the checkpoint of a step that is on the disk."""
        target = checkpoint.place(self.folder, step)
        if best is not None:
            checkpoint.point(self.folder, "best", target, step=step, **best)
        checkpoint.point(self.folder, "latest", target, step=step)

    def wait(self) -> None:
        """Until everything is on the disk. Raises RunFailedError where it is not."""
        pending, self.pending = self.pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """The end, after whatever happened: a failure was heard already, or another one was."""
        with suppress(FtuneError, OSError):
            self.wait()
        self.pool.shutdown()

    def _write(
        self, content: Checkpoint, step: int, best: Facts | None, steps: Collection[int]
    ) -> None:
        checkpoint.save(self.folder, content, step, self.storage)
        self.point(step, best)
        names = [checkpoint.place(self.folder, number).name for number in steps]
        checkpoint.prune(self.folder, self.keep, names)


def check_space(folder: Path, content: Checkpoint, trained: int) -> None:
    """Refuses to begin where two checkpoints would not fit on the disk.

    trained: bytes of what moves; the optimizer's state, not there yet, is taken as two of it.
    Raises RunFailedError.
    """
    needed = 2 * (content.size + 2 * trained) + content.shared_size
    free = free_bytes(folder)
    if free < needed:
        raise RunFailedError(
            f"not begun: {folder} needs about {needed:,} bytes for checkpoints, and {free:,} are "
            "free; free some, or choose another --out"
        )
