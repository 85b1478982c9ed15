"""Where a training stands, as a checkpoint holds it beside the tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftune.record import Record


@dataclass(frozen=True)
class Mark:
    """An evaluation on disk: its step, the value of the metric, the loss."""

    step: int
    value: float
    loss: float

    @classmethod
    def parse(cls, record: Record) -> Mark:
        return cls(record.count("step"), record.number("value"), record.number("loss"))


@dataclass(frozen=True)
class LoopState:
    """The loop of a training after a step.

    best, reference: the best evaluation, and the one that the patience is counted from. optimizer,
    schedule, scaler: what each gave, for its own `load`. unlogged, unlogged_parts: the losses since
    the last line of the log. ranking: the best evaluations, larger values being better. anchor: the
    step that a rollback goes to.
    """

    step: int
    evals_since_gain: int
    last_eval_step: int
    optimizer: Mapping[str, Any]
    schedule: Mapping[str, Any]
    best: Mark | None
    reference: Mark | None
    scaler: Mapping[str, Any] | None = None
    average_updates: int | None = None
    microbatch_splits: int = 1
    skipped_faults: int = 0
    skipped: int = 0
    overflows: int = 0
    recent_losses: tuple[float, ...] = ()
    unlogged: tuple[float, float] = (0.0, 0.0)
    unlogged_parts: Mapping[str, float] = field(default_factory=dict)
    ranking: tuple[Mark, ...] = ()
    anchor: int | None = None

    @classmethod
    def parse(cls, value: object, file: Path | str) -> LoopState:
        """Return the loop of a checkpoint's `state.json`, what 0.1 did not write with its defaults.

        Raises CheckpointError, which names the file, the key and what was expected.
        """
        loop = Record.parse(value, file, "loop")
        best = _mark(loop, "best")
        faults = loop.count("faults", 0)
        return cls(
            step=loop.count("step"),
            evals_since_gain=loop.count("waiting"),
            last_eval_step=loop.count("looked"),
            optimizer=_optimizer(loop),
            schedule=loop.object("schedule"),
            best=best,
            # Version 0.1 had one evaluation for both.
            reference=_mark(loop, "reference") if "reference" in loop.values else best,
            scaler=_scaler(loop),
            average_updates=loop.count("average_updates", None),
            microbatch_splits=loop.count("split", 1),
            skipped_faults=faults,
            skipped=loop.count("skipped", faults),  # version 0.1 counted faults alone
            overflows=loop.count("overflows", 0),
            recent_losses=loop.numbers("recent", ()),
            unlogged=_unlogged(loop),
            unlogged_parts=_parts(loop),
            ranking=tuple(Mark.parse(row) for row in loop.records("ranking", ())),
            anchor=loop.count("anchor", None),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the loop as `parse` reads it."""
        return {
            "step": self.step,
            "waiting": self.evals_since_gain,
            "looked": self.last_eval_step,
            "split": self.microbatch_splits,
            "faults": self.skipped_faults,
            "skipped": self.skipped,
            "overflows": self.overflows,
            "recent": list(self.recent_losses),
            "best": vars(self.best) if self.best else None,
            "reference": vars(self.reference) if self.reference else None,
            "schedule": dict(self.schedule),
            "optimizer": dict(self.optimizer),
            "scaler": dict(self.scaler) if self.scaler is not None else None,
            "average_updates": self.average_updates,
            "unlogged": list(self.unlogged),
            "unlogged_parts": dict(self.unlogged_parts),
            "ranking": [vars(mark) for mark in self.ranking],
            "anchor": self.anchor,
        }


def _mark(loop: Record, name: str) -> Mark | None:
    stored = loop.object(name, None)
    return None if stored is None else Mark.parse(Record(stored, loop.file, f"loop.{name}"))


def _optimizer(loop: Record) -> Mapping[str, Any]:
    stored: Mapping[str, Any] = loop.object("optimizer")
    optimizer = Record(stored, loop.file, "loop.optimizer")
    for row in optimizer.records("optimizers", ()):
        row.text("class")
        row.texts("updated")
    return stored


def _scaler(loop: Record) -> Mapping[str, Any] | None:
    stored: Mapping[str, Any] | None = loop.object("scaler", None)
    if stored:
        scaler = Record(stored, loop.file, "loop.scaler")
        for name in ("scale", "growth_factor", "backoff_factor", "growth_interval"):
            scaler.number(name)
        scaler.count("_growth_tracker")
    return stored


def _unlogged(loop: Record) -> tuple[float, float]:
    values = loop.numbers("unlogged", (0.0, 0.0))
    if len(values) != 2:
        loop.refuse("unlogged", "a sum and a count")
    return values[0], values[1]


def _parts(loop: Record) -> Mapping[str, float]:
    parts: Mapping[str, float] = loop.object("unlogged_parts", {})
    record = Record(parts, loop.file, "loop.unlogged_parts")
    for name in parts:
        record.number(name)
    return parts
