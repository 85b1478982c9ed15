"""ftune's own files: tensors, their card, and the pipeline's arrays.

A safetensors file has configuration and pipeline in its header's metadata; of a `.pt` file,
`torch.load(path, weights_only=True)["model"]` is the state dict.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from ftune.adapt.edits import write_edits
from ftune.adapt.quantize import base_state_dict
from ftune.errors import RequestError, RunFailedError
from ftune.exports.atomic_target import write_file
from ftune.exports.export_model import Batch, ExportModel, outputs
from ftune.models.hf_files import plain
from ftune.predictor import restore
from ftune.runs.base import ARRAYS, CARD, load_base
from ftune.security.redact import redact_tree

TRAINING_ONLY = ("loop", "exact")


def write(export_model: ExportModel, path: Path) -> list[str]:
    """Write the file that the suffix names; tensors as they are."""
    (tensors, card), arrays = _content(export_model), export_model.base.pipeline
    if path.suffix == ".pt":
        buffer = io.BytesIO()
        torch.save({"model": dict(tensors), ARRAYS: dict(arrays), CARD: json.dumps(card)}, buffer)
        write_file(path, buffer.getvalue())
        return []
    whole: dict[str, Tensor] = {k: t.contiguous().clone() for k, t in tensors.items()}
    whole |= {f"{ARRAYS}/{k}": t.contiguous() for k, t in arrays.items()}
    write_file(path, save(whole, {"format": "pt", CARD: json.dumps(card)}))
    return []


def _content(export_model: ExportModel) -> tuple[Mapping[str, Tensor], dict[str, Any]]:
    """Tensors by name and their card: as stored, or those of the plain model.

    Raises RequestError where merging unties weights that the structure ties.
    """
    card = {key: fact for key, fact in export_model.base.meta.items() if key not in TRAINING_ONLY}
    card["config"] = redact_tree(card["config"])  # of a run that an older ftune wrote
    if export_model.apart or not export_model.adapted:
        return export_model.base.tensors, card
    card |= write_edits([])
    if export_model.kind:
        card["model"] = {**card["model"], "config": plain(export_model.inner.config)}
    elif export_model.merged[1]:
        raise RequestError(
            f"--merged: {', '.join(export_model.merged[1])} shares its weight in this model,"
            " and with the adapters it no longer could; write --apart"
        )
    return base_state_dict(export_model.plain), card


def read(path: Path, export_model: ExportModel) -> Callable[[Batch], Tensor]:
    """Loads the file as `ftune predict` does. Raises RunFailedError where the pipeline differs."""
    base = load_base(path)
    wanted, stored = export_model.base.pipeline, base.pipeline
    same = wanted.keys() == stored.keys() and all(torch.equal(wanted[k], stored[k]) for k in wanted)
    if not same:
        raise RunFailedError(f"{path.name}: the pipeline's arrays were read back differently")
    model = restore(base).built.module.cpu()
    return lambda batch: outputs(model, batch)
