"""Folders of Hugging Face models: every file that the library would read, by its own claims."""

from __future__ import annotations

from pathlib import Path

from ftune.errors import CheckpointError
from ftune.limits import documents
from ftune.limits.memory import check
from ftune.limits.tensors import safetensors_file, torch_file


def model_folder(folder: Path, weights: bool = True) -> None:
    """Raises CheckpointError. `weights`: also the files of tensors, not only JSON."""
    for file in folder.glob("*.json"):
        if file.is_file():
            documents.fits(file)
    if not weights:
        return
    solid = [file for file in folder.glob("*.safetensors") if file.is_file()]
    pickled = [file for file in folder.glob("pytorch_model*.bin") if file.is_file()]
    for file in solid:
        safetensors_file(file)
    for file in pickled:
        torch_file(file)
    total = sum(file.stat().st_size for file in solid or pickled)
    check(f"{folder}: its tensors", total, kind=CheckpointError)
