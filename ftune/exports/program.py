"""torch.export's file: the graph and its weights, without the model's source."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ftune.exports.graph import named, trace
from ftune.exports.place import write_file
from ftune.exports.subject import Batch, Subject
from ftune.log_suppression import quiet


def write(subject: Subject, path: Path) -> list[str]:
    buffer = io.BytesIO()
    with quiet():
        torch.export.save(trace(subject).program, buffer, extra_files=subject.about())
    write_file(path, buffer.getvalue())
    return []


def read(path: Path, subject: Subject) -> Callable[[Batch], Tensor]:
    """What `torch.export.load(path).module()` computes."""
    del subject
    with quiet():
        model = torch.export.load(path).module()

    def run(batch: Batch) -> Tensor:
        with torch.no_grad():
            found: Tensor = model(**named(batch))
        return found

    return run
