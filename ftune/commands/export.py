"""`ftune export`: a model as others load it, read back and compared after writing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ftune.console import Console
from ftune.exports import Adapters, accept
from ftune.exports.deliver import deliver
from ftune.exports.subject import Subject
from ftune.predictor import restore
from ftune.runs.base import Base


def export(
    base: Base,
    name: str,
    target: Path,
    console: Console,
    adapters: Adapters | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes and proves. Raises RequestError, or RunFailedError where the proof fails.

    adapters: merged into the weights or apart; None is the format's usual way.
    """
    form = accept(name, target, adapters, overwrite)
    way = adapters or form.adapters[0]
    subject = Subject(base, restore(base), apart=way == "apart")
    done = deliver(subject, form, target)
    console.say(
        f"{target}: {done.size:,} bytes; read back, {done.proof.outputs:,} outputs differ from "
        f"the model's by {done.proof.difference:.3g} at most"
    )
    for note in done.notes:
        console.say(note)
    return {
        "command": "export",
        "status": "done",
        "run": str(base.source),
        "output": str(target),
        "format": name,
        "adapters": way if subject.adapted else None,
        "size_bytes": done.size,
        "difference": done.proof.difference,
        "tolerance": done.proof.allowed,
        "notes": done.notes,
    }
