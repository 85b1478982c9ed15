"""What run.json says of a run, and summary.json of its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftune.record import Record


@dataclass(frozen=True)
class RunRecord:
    """The facts of a run that a continuation depends on.

    threads: that it computed with. data, raw_targets: fingerprints; those of the raw targets are
    None in a run of 0.1. notes: of its beginning. code: what it was begun with, for
    `extend.needing`. parent, parent_step, begun: of a prolonged run, and whether it has taken over
    its parent. reason: why it failed.
    """

    file: Path | str
    command: str
    status: str
    threads: int | None = None
    parent_step: int | None = None
    reason: str = ""
    data: str | None = None
    raw_targets: str | None = None
    has_raw_targets: bool = False
    notes: tuple[str, ...] = ()
    code: Any = None
    parent: str | None = None
    begun: bool = False

    @classmethod
    def parse(cls, value: object, file: Path | str) -> RunRecord:
        """Return the record in a run.json, what 0.1 did not write with its defaults.

        Raises CheckpointError, which names the file, the key and what was expected.
        """
        facts = Record.parse(value, file)
        return cls(
            file=file,
            command=facts.text("command"),
            status=facts.text("status"),
            threads=facts.count("threads", None),
            parent_step=facts.count("parent_step", None),
            reason=facts.text("reason", None) or "",
            data=facts.text("data", None),
            raw_targets=facts.text("raw_targets", None),
            has_raw_targets="raw_targets" in facts.values,
            notes=facts.texts("notes", ()),
            code=facts.values.get("code"),
            parent=facts.text("parent", None),
            begun=facts.values.get("begun", False) is True,
        )


@dataclass(frozen=True)
class Best:
    """The evaluation whose weights a run delivers."""

    step: int
    metric: str
    value: float

    @classmethod
    def parse(cls, record: Record) -> Best:
        return cls(record.count("step"), record.text("metric"), record.number("value"))


_NUMBERS = ("epochs", "seconds", "train_seconds", "cost")


@dataclass(frozen=True)
class Summary:
    """How a run ended; all is None or empty where it has not.

    metrics: by split and name, those that are not defined None. cost: where the run has a price.
    parameters: `total`, `trainable`.
    """

    steps: int | None = None
    epochs: float | None = None
    seconds: float | None = None
    train_seconds: float | None = None
    peak_memory_bytes: int | None = None
    cost: float | None = None
    parameters: Mapping[str, Any] | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    best: Best | None = None
    checkpoint: str | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, value: object, file: Path | str) -> Summary:
        """Return the record in a summary.json.

        Raises CheckpointError, which names the file, the key and what was expected.
        """
        facts = Record.parse(value, file)
        best = facts.object("best", None)
        return cls(
            **{name: facts.count(name, None) for name in ("steps", "peak_memory_bytes")},
            **{name: facts.number(name, None) for name in _NUMBERS},
            parameters=facts.object("parameters", None),
            metrics=facts.object("metrics", {}),
            best=None if best is None else Best.parse(Record(best, file, "best")),
            checkpoint=facts.text("checkpoint", None),
            notes=facts.texts("notes", ()),
        )
