"""Small runs of every kind, to be run again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ftune.commands.base_config import base_for
from ftune.commands.dispatch import COMMANDS
from ftune.commands.request import Request
from ftune.commands.rerun import rerun
from ftune.runs.files import sha256
from ftune.runs.folder import RunFolder
from ftune.schema.root import LANGUAGE, RunConfig
from support.sweeps import HALVING, PLAIN
from support.tiny_hf import SENTENCES, save_models
from support.trainings import EVERYTHING, QUIET

SHORT = {"threads": 1, "device": "cpu"}


def prepare(place: Path) -> None:
    """A table, texts, images and tiny language models that the kinds read."""
    dice = np.random.default_rng(0)
    x = dice.normal(size=(90, 3))
    rows = [f"{a:.4f},{b:.4f},{c:.4f},{['no', 'yes'][int(a + b > 0)]}" for a, b, c in x]
    _write(place / "table.csv", ["a,b,c,label", *rows])
    texts = [f"{text},{'ab'[i % 2]}" for i, text in enumerate(SENTENCES * 8)]
    _write(place / "texts.csv", ["text,label", *texts])
    for number in range(24):
        file = place / "images" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = dice.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels // (1 + number % 2)).save(file)
    save_models(place)


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _table(place: Path) -> dict[str, Any]:
    data = {"source": "csv", "path": str(place / "table.csv"), "target": "label",
            "split": {"val": 20, "test": 10}, "transforms": ["standardize"]}  # fmt: skip
    return EVERYTHING | {"data": data, "eval": {"every": {"steps": 3}, "metric": "loss"}}


def _texts(place: Path) -> dict[str, Any]:
    layers = [{"embedding": 8}, {"transformer": {"heads": 2}}, {"dropout": 0.2},
              "globalpool", {"linear": "out"}]  # fmt: skip
    data = {"source": "csv", "path": str(place / "texts.csv"), "text": "text", "target": "label",
            "cache": False, "split": {"val": 6, "test": 4}}  # fmt: skip
    return {
        "task": "classification", "data": data, "runtime": SHORT,
        "model": {"name": "sequential", "layers": layers},
        "optimizer": {"name": "adamw", "lr": 0.02}, "train": {"steps": 6, "batch_size": 4},
    }  # fmt: skip


def _images(place: Path) -> dict[str, Any]:
    layers = [{"conv2d": 4, "kernel": 3}, "batchnorm", "relu", {"dropout": 0.2}, "globalpool",
              {"linear": "out"}]  # fmt: skip
    random = [{"random_resized_crop": 8}, "flip", {"color_jitter": {"brightness": 0.3}}]
    data = {"source": "images", "path": str(place / "images"), "cache": False,
            "split": {"val": 6, "test": 4}, "transforms": random}  # fmt: skip
    return {
        "task": "classification", "data": data, "runtime": SHORT,
        "model": {"name": "sequential", "layers": layers},
        "optimizer": {"name": "sgd", "lr": 0.05}, "train": {"steps": 6, "batch_size": 4},
    }  # fmt: skip


def _lora(place: Path) -> dict[str, Any]:
    data = {"source": "csv", "path": str(place / "texts.csv"), "text": "text", "cache": False,
            "split": {"val": 6, "test": 0}}  # fmt: skip
    return {
        "task": "causal-lm", "data": data, "runtime": SHORT,
        "model": {"name": "hf", "path": str(place / "llama")},
        "adapt": [{"match": "*_proj", "lora": {"rank": 2, "dropout": 0.2}}],
        "optimizer": {"name": "adamw", "lr": 0.02}, "train": {"steps": 4, "batch_size": 4},
        "eval": {"metric": "loss"},
    }  # fmt: skip


def _rates(place: Path) -> dict[str, Any]:
    return _table(place) | {"schedule": "cosine", "adapt": [],
                            "lr_find": {"low": 1e-3, "high": 1.0, "refine": 3}}  # fmt: skip


def _sweep(place: Path) -> dict[str, Any]:
    return PLAIN | HALVING | {"data": _table(place)["data"], "adapt": []}


KINDS: dict[str, tuple[str, Callable[[Path], dict[str, Any]]]] = {
    "table": ("optimize", _table),
    "texts": ("optimize", _texts),
    "images": ("optimize", _images),
    "lora": ("finetune", _lora),
    "lr-find": ("lr-find", _rates),
    "sweep": ("sweep", _sweep),
}


def configured(kind: str, place: Path, seed: int = 0) -> RunConfig:
    return LANGUAGE.of(KINDS[kind][1](place) | {"seed": seed})


def run_kind(kind: str, config: RunConfig, out: Path) -> dict[str, Any]:
    """One run of a kind, as its command makes it."""
    command = COMMANDS[KINDS[kind][0]]
    return command.run(Request(config, "", out, QUIET, base_for(command.base, [], config)))


def run_alone(kind: str, place: Path, seed: int, out: Path) -> None:
    """For a process of its own."""
    run_kind(kind, configured(kind, place, seed), out)


def rerun_alone(run: Path, out: Path, said: Path) -> None:
    """For a process of its own, that leaves the summary in `said`."""
    said.write_text(json.dumps(rerun(RunFolder(run), out, QUIET)), encoding="utf-8")


def saved_bytes(run: Path) -> dict[str, str]:
    """sha256 of every file of tensors below a run."""
    return {str(f.relative_to(run)): sha256(f) for f in sorted(run.rglob("*.safetensors"))}
