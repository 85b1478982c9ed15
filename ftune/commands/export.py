"""`ftune export`: a model as others load it, read back and compared after writing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ftune.console import Console
from ftune.exports import Adapters, accept
from ftune.exports.export import write_verified
from ftune.exports.export_model import ExportModel
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
    export_model = ExportModel(base, restore(base), apart=way == "apart")
    exported = write_verified(export_model, form, target)
    verification = exported.verification
    console.info(
        f"{target}: {exported.size:,} bytes; read back, {verification.outputs:,} outputs differ "
        f"from the model's by {verification.difference:.3g} at most"
    )
    for note in exported.notes:
        console.info(note)
    return {
        "command": "export",
        "status": "done",
        "run": str(base.source),
        "output": str(target),
        "format": name,
        "adapters": way if export_model.adapted else None,
        "size_bytes": exported.size,
        "difference": verification.difference,
        "tolerance": verification.allowed,
        "notes": exported.notes,
    }
