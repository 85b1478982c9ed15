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
    """Write the model, read it back and compare; raise RunFailedError where outputs differ.

    adapters: merged into the weights or apart; None: the format's default. Raises RequestError too.
    """
    form = accept(name, target, adapters, overwrite)
    way = adapters or form.adapters[0]
    subject = Subject(base, restore(base), apart=way == "apart")
    delivery = deliver(subject, form, target)
    console.info(
        f"{target}: {delivery.size:,} bytes; read back, {delivery.proof.outputs:,} outputs differ "
        f"from the model's by {delivery.proof.difference:.3g} at most"
    )
    for note in delivery.notes:
        console.info(note)
    return {
        "command": "export",
        "status": "done",
        "run": str(base.source),
        "output": str(target),
        "format": name,
        "adapters": way if subject.adapted else None,
        "size_bytes": delivery.size,
        "difference": delivery.proof.difference,
        "tolerance": delivery.proof.allowed,
        "notes": delivery.notes,
    }
