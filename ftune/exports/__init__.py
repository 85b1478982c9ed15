"""What `ftune export` writes: the formats by name, and what each is."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ftune.errors import MissingExtraError, RequestError

Adapters = Literal["merged", "apart"]


@dataclass(frozen=True)
class Format:
    """One way to write a model.

    module: has `write(export_model, path)` and `read(path, export_model)`. suffix: of the file, ""
    for a folder. marker: the file by which such a folder is known. needs: packages of the extra.
    adapters: how they may be written, the usual way first. tolerance: the largest difference that
    the outputs may have when read back, as a share of the largest output.
    """

    module: str
    suffix: str = ""
    marker: str = ""
    extra: str = ""
    needs: tuple[str, ...] = ()
    adapters: tuple[Adapters, ...] = ("merged",)
    tolerance: float = 1e-4


FORMATS = {
    "safetensors": Format(
        "ftune.exports.tensors",
        suffix=".safetensors",
        adapters=("merged", "apart"),
        tolerance=0.0,
    ),
    "pt": Format(
        "ftune.exports.tensors",
        suffix=".pt",
        adapters=("merged", "apart"),
        tolerance=0.0,
    ),
    "hf": Format(
        "ftune.exports.hf",
        marker="config.json",
        extra="text",
        needs=("transformers", "tokenizers"),
    ),
    "peft": Format(
        "ftune.exports.peft",
        marker="adapter_config.json",
        extra="peft",
        needs=("peft", "transformers"),
        adapters=("apart",),
    ),
    "onnx": Format(
        "ftune.exports.onnx",
        suffix=".onnx",
        extra="onnx",
        needs=("onnx", "onnxscript", "onnxruntime"),
        tolerance=1e-3,
    ),
    "torch-export": Format(
        "ftune.exports.program",
        suffix=".pt2",
    ),
}


def accept(name: str, target: Path, adapters: Adapters | None, overwrite: bool) -> Format:
    """The format, where the request can be met as far as is known before anything is loaded.

    Raises RequestError, and MissingExtraError where packages are absent.
    """
    if name not in FORMATS:
        raise RequestError(f"--format {name}: accepted: {', '.join(FORMATS)}")
    form = FORMATS[name]
    _check_name(name, form, target)
    if adapters and adapters not in form.adapters:
        able = ", ".join(n for n, f in FORMATS.items() if adapters in f.adapters)
        raise RequestError(f"--{adapters}: not with {name}; formats that can: {able}")
    if any(importlib.util.find_spec(package) is None for package in form.needs):
        raise MissingExtraError(f"--format {name}", form.extra)
    _check_free(form, target, overwrite)
    return form


def _check_name(name: str, form: Format, target: Path) -> None:
    if form.suffix and target.suffix != form.suffix:
        raise RequestError(f"--out {target}: the file of format {name} ends in {form.suffix}")
    other = next((n for n, f in FORMATS.items() if f.suffix and f.suffix == target.suffix), name)
    if not form.suffix and other != name:
        raise RequestError(f"--out {target}: {name} writes a folder; {target.suffix} is {other}")


def _check_free(form: Format, target: Path, overwrite: bool) -> None:
    """Nothing is replaced unasked, and a folder only if it is an earlier export."""
    if not target.exists():
        return
    if target.is_dir() != (not form.suffix):
        kind = "folder" if target.is_dir() else "file"
        raise RequestError(f"{target} is a {kind} already; choose another --out")
    if target.is_dir() and not any(target.iterdir()):
        return
    if not overwrite:
        raise RequestError(f"{target} exists already; choose another --out, or --overwrite")
    if target.is_dir() and not (target / form.marker).is_file():
        raise RequestError(f"{target} is no earlier export (no {form.marker}); it is not replaced")
