"""torch.export's file: the graph and its weights, without the model's source."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ftune.exports.atomic_target import write_file
from ftune.exports.export_model import Batch, ExportModel
from ftune.exports.graph import named, trace
from ftune.log_suppression import quiet


def write(export_model: ExportModel, path: Path) -> list[str]:
    buffer = io.BytesIO()
    with quiet():
        torch.export.save(trace(export_model).program, buffer, extra_files=export_model.about())
    write_file(path, buffer.getvalue())
    return []


def read(path: Path, export_model: ExportModel) -> Callable[[Batch], Tensor]:
    """What `torch.export.load(path).module()` computes."""
    del export_model
    with quiet():
        model = torch.export.load(path).module()
    return torch.no_grad()(lambda batch: model(**named(batch)))
