"""Checkpoints on their way to the disk: copied at once, written beside the training."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftune.errors import FtuneError, OutOfMemoryError, RunFailedError
from ftune.runs import checkpoint
from ftune.runs.checkpoint import Checkpoint
from ftune.runs.files import read_json

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Ranked:
    """A saved evaluation. value: turned so that larger is better; ties go by the loss."""

    value: float
    loss: float
    step: int

    @property
    def order(self) -> tuple[float, float, int]:
        return (-self.value, self.loss, self.step)


class Saver:
    """Writes a run's checkpoints in one thread, one after the other.

    At most one is being written; the next waits for it, and hears of its failure.
    """

    def __init__(self, folder: Path, keep: int, keep_best: int, step: int) -> None:
        """step: where a resumed run goes on; what was ranked after it will come again."""
        self.folder, self.keep, self.keep_best = folder, keep, keep_best
        self.pool = ThreadPoolExecutor(1, "checkpoint")
        self.pool.submit(int).result()  # the thread is there before memory is short
        self.pending: Future[None] | None = None
        self.ranking = [one for one in _ranking(folder) if one.step <= step]

    def ranks(self, one: Ranked) -> bool:
        """Whether an evaluation is among the best `keep_best` so far."""
        others = [other for other in self.ranking if other.step != one.step]
        better = [other for other in others if other.order < one.order]
        return len(better) < self.keep_best

    def save(self, content: Checkpoint, step: int, one: Ranked | None, best: Facts | None) -> None:
        """Copies the state, then returns; without memory for a copy, writes it first.

        one: its evaluation, if it is to be ranked. best: facts for the pointer, if it is the best.
        Raises RunFailedError where the last one could not be written.
        """
        self.wait()
        if one is not None:
            others = [other for other in self.ranking if other.step != one.step]
            self.ranking = sorted([*others, one], key=lambda r: r.order)[: self.keep_best]
        try:
            content = content.copied()
        except OutOfMemoryError:
            self._write(content, step, best)
            return
        self.pending = self.pool.submit(self._write, content, step, best)

    def point(self, step: int, best: Facts | None) -> None:
        """Points at the checkpoint of a step that is on the disk."""
        target = checkpoint.place(self.folder, step)
        if best is not None:
            ranking = [vars(one) for one in self.ranking]
            checkpoint.point(self.folder, "best", target, step=step, **best, ranking=ranking)
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

    def _write(self, content: Checkpoint, step: int, best: Facts | None) -> None:
        checkpoint.save(self.folder, content, step)
        self.point(step, best)
        ranked = [checkpoint.place(self.folder, one.step).name for one in self.ranking]
        checkpoint.prune(self.folder, self.keep, ranked)


def check_space(folder: Path, content: Checkpoint, trained: int) -> None:
    """Refuses to begin where two checkpoints would not fit on the disk.

    trained: bytes of what moves; the optimizer's state, not there yet, is taken as two of it.
    Raises RunFailedError.
    """
    needed = 2 * (content.size + 2 * trained) + content.shared_size
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise RunFailedError(
            f"not begun: {folder} needs about {needed:,} bytes for checkpoints, and {free:,} are "
            "free; free some, or choose another --out"
        )


def _ranking(folder: Path) -> list[Ranked]:
    """As the pointer to the best noted it, of checkpoints that are still there."""
    try:
        rows = [Ranked(**row) for row in read_json(folder / "best.json").get("ranking", ())]
    except (OSError, ValueError, TypeError, AttributeError):
        return []
    return [row for row in rows if checkpoint.place(folder, row.step).is_dir()]
