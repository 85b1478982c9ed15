"""A whole model in one file: weights, configuration and pipeline, as others can load it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save as save_tensors
from torch import Tensor

from ftune.errors import RunFailedError
from ftune.runs.base import ARRAYS, STORY, Base
from ftune.runs.files import write_atomic


def write_pt(path: Path, base: Base) -> None:
    """`torch.load(path, weights_only=True)["model"]` is the state dict."""
    buffer = io.BytesIO()
    content = {
        "model": dict(base.tensors),
        ARRAYS: dict(base.pipeline),
        STORY: json.dumps(base.meta),
    }
    torch.save(content, buffer)
    _write(path, buffer.getvalue())


def write_safetensors(path: Path, base: Base) -> None:
    """Tensors as they are; configuration and pipeline in the header's metadata."""
    tensors: dict[str, Tensor] = {k: t.contiguous().clone() for k, t in base.tensors.items()}
    tensors |= {f"{ARRAYS}/{k}": t.contiguous() for k, t in base.pipeline.items()}
    _write(path, save_tensors(tensors, {"format": "pt", STORY: json.dumps(base.meta)}))


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
    except OSError as error:
        raise RunFailedError(
            f"cannot write {path} ({len(data):,} bytes): {error.strerror}"
        ) from None


WRITERS: dict[str, Callable[[Path, Base], None]] = {
    "pt": write_pt,
    "safetensors": write_safetensors,
}
