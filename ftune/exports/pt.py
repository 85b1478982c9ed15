"""`torch.load(path, weights_only=True)["model"]` is the state dict."""

from __future__ import annotations

import io
import json
from pathlib import Path

import torch

from ftune.exports.atomic_target import write_file
from ftune.exports.export_model import ExportModel
from ftune.exports.tensors import content, read
from ftune.runs.base import ARRAYS, CARD

__all__ = ["read", "write"]


def write(export_model: ExportModel, path: Path) -> list[str]:
    tensors, story = content(export_model)
    whole = {
        "model": dict(tensors),
        ARRAYS: dict(export_model.base.pipeline),
        CARD: json.dumps(story),
    }
    buffer = io.BytesIO()
    torch.save(whole, buffer)
    write_file(path, buffer.getvalue())
    return []
