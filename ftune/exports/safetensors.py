"""Tensors as they are; configuration and pipeline in the header's metadata."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from ftune.exports.atomic_target import write_file
from ftune.exports.export_model import ExportModel
from ftune.exports.tensors import content, read
from ftune.runs.base import ARRAYS, CARD

__all__ = ["read", "write"]


def write(export_model: ExportModel, path: Path) -> list[str]:
    tensors, story = content(export_model)
    whole: dict[str, Tensor] = {k: t.contiguous().clone() for k, t in tensors.items()}
    whole |= {f"{ARRAYS}/{k}": t.contiguous() for k, t in export_model.base.pipeline.items()}
    write_file(path, save(whole, {"format": "pt", CARD: json.dumps(story)}))
    return []
