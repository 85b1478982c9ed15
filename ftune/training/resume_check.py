"""What a continued training must have in common with its beginning, to the last bit."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from importlib import metadata
from typing import Any

import torch

from ftune.assembly.parts import Parts
from ftune.config.dump import dump
from ftune.config.free import free_settings
from ftune.runtime.versions import ftune_version
from ftune.schema.root import RunConfig
from ftune.security.redact import stored

# Settings that are younger than version 0.1, with what every training did before.
LATER = {"data.drop_missing_target": False, "eval.at_start": True, "eval.metrics": [],
         "train.cache": "off"}  # fmt: skip

LIBRARIES = {"hf": "transformers", "timm": "timm"}  # of models by name


def exactness(config: RunConfig, parts: Parts) -> dict[str, Any]:
    """Facts and settings by name, as JSON gives them back; a resume compares each."""
    settings = dict(_settings(stored(dump(config)), _free(config)))
    packages = _packages(parts, settings["model.name"])
    facts = {
        "threads": parts.threads,
        "device": str(parts.device),
        "dtype": str(parts.precision.dtype or torch.float32),
        "ftune": ftune_version(),
        "torch": torch.__version__,
        "rows": len(parts.dataset.train),
        "total": parts.total,
        **{package: _version(package) for package in packages},
        **settings,
    }
    plain: dict[str, Any] = json.loads(json.dumps(facts))
    return plain


def _free(config: RunConfig) -> frozenset[str]:
    """A rollback goes to the last checkpoint: then it matters when they are made."""
    bound = {"train.checkpoint_every"} if config.train.rolls_back else set()
    return frozenset(free_settings(config)) - bound


def _settings(
    config: Mapping[str, Any], free: Collection[str], above: str = ""
) -> Iterator[tuple[str, Any]]:
    """Every setting that is not free, by its dotted name; a list is one value."""
    for name, value in config.items():
        key = f"{above}{name}"
        if key in free:
            continue
        if isinstance(value, Mapping):
            yield from _settings(value, free, f"{key}.")
        else:
            yield key, value


def _packages(parts: Parts, model: str) -> list[str]:
    """Those whose other versions could give other numbers in this training.

    Texts are compared as tokens, by the fingerprint of the data; images are decoded as it goes.
    """
    images = parts.dataset.pipeline.kind == "images"
    adapters = any(edit.kind == "peft" for edit in parts.origin.edits)
    return [
        "numpy",
        *(["Pillow", "kornia"] if images else []),
        *([LIBRARIES[model]] if model in LIBRARIES else []),
        *(["peft"] if adapters else []),
    ]


@lru_cache
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
