"""`ftune export`: a model as one file, loaded back and compared after writing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ftune.console import Console
from ftune.errors import RequestError, RunFailedError
from ftune.runs.base import Base, load_base
from ftune.runs.single import WRITERS


def export(base: Base, form: str, target: Path, console: Console) -> dict[str, Any]:
    """Writes the file and proves it by reading it again. Raises RequestError for another format."""
    if form not in WRITERS:
        raise RequestError(f"--format {form}: accepted: {', '.join(WRITERS)}")
    suffix = f".{form}"
    if target.suffix != suffix:
        raise RequestError(f"--out {target}: the file of format {form} ends in {suffix}")
    meta = {key: value for key, value in base.meta.items() if key not in ("loop", "exact")}
    WRITERS[form](target, Base(base.source, base.tensors, meta, base.pipeline))
    difference = _difference(base, load_base(target))
    if difference != 0:
        raise RunFailedError(
            f"{target} differs from the model by {difference:g} after reading it back"
        )
    size = target.stat().st_size
    console.say(f"{target}: {len(base.tensors)} tensors, {size:,} bytes, read back identical")
    return {"command": "export", "status": "done", "run": str(base.source), "output": str(target),
            "size_bytes": size, "difference": difference}  # fmt: skip


def _difference(a: Base, b: Base) -> float:
    """The largest absolute difference over all tensors; infinite where names or shapes differ."""
    if a.tensors.keys() != b.tensors.keys() or a.pipeline.keys() != b.pipeline.keys():
        return float("inf")
    pairs = [(a.tensors[n], b.tensors[n]) for n in a.tensors] + [
        (a.pipeline[n], b.pipeline[n]) for n in a.pipeline
    ]
    if any(x.shape != y.shape for x, y in pairs):
        return float("inf")
    return max(
        (float((x - y).abs().max()) for x, y in pairs if x.numel() and not torch.equal(x, y)),
        default=0.0,
    )
