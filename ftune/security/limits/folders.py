"""Folders of Hugging Face models: every file that the library would read, by its own claims."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftune.errors import CheckpointError
from ftune.security.limits import documents
from ftune.security.limits.memory import check
from ftune.security.limits.tensors import safetensors_file, torch_file

MOST_LAYERS = 2000
"""The deepest models that were published have a thousand."""


def model_folder(folder: Path, weights: bool = True) -> None:
    """Raises CheckpointError. `weights`: also the files of tensors, not only JSON."""
    for file in folder.glob("*.json"):
        if file.is_file():
            documents.fits(file)
    if (folder / "config.json").is_file():
        check_layers(documents.read(folder / "config.json"), str(folder / "config.json"))
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


def check_layers(config: Any, where: str) -> None:
    """A library makes one module after the other, whatever number of them a file asks for.

    Raises CheckpointError.
    """
    for key, value in config.items() if isinstance(config, Mapping) else ():
        if isinstance(value, Mapping):
            check_layers(value, where)
        elif "layer" in str(key) and type(value) is int and value > MOST_LAYERS:
            raise CheckpointError(
                f"{where}: `{key}` is {value:,}, at most {MOST_LAYERS:,} are made"
            )
