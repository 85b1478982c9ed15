"""What run.json says of a run, and summary.json of its end, where the run is gone on with."""

from __future__ import annotations

from dataclasses import dataclass
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
