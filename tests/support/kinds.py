"""Tiny trainings of every kind of data, with all the randomness that each can have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from support.tiny_hf import SENTENCES, save_models
from support.trainings import EVERYTHING

TRAIN: dict[str, Any] = {
    "epochs": 8, "batch_size": 4, "accumulate": 2, "clip_norm": 1.0, "ema": 0.9, "log_every": 1,
    "checkpoint_every": {"steps": 2},
}  # fmt: skip
COMMON: dict[str, Any] = {
    "seed": 5, "optimizer": {"name": "adamw", "lr": 0.01}, "train": TRAIN,
    "schedule": {"name": "cosine", "warmup": 0.2}, "eval": {"every": {"steps": 8}},
    "runtime": {"threads": 1, "device": "cpu"},
}  # fmt: skip


def write(place: Path) -> None:
    """The models, texts and pictures that the others read."""
    from PIL import Image

    save_models(place)
    dice = np.random.default_rng(0)
    words = " ".join(SENTENCES).split()
    lines = [" ".join(dice.choice(words, 3 + i % 9)) for i in range(60)]
    rows = "".join(f"{text},{'ab'[i % 2]}\n" for i, text in enumerate(lines))
    (place / "t.csv").write_text("text,label\n" + rows, encoding="utf-8")
    for i in range(60):
        file = place / "pictures" / "ab"[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = dice.integers(0, 256, (14 + i % 3, 14, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file)


def lora(place: Path, **tokenize: Any) -> dict[str, Any]:
    """A language model with LoRA and its dropout, on padded or packed texts."""
    return COMMON | {
        "task": "causal-lm",
        "data": {
            "source": "csv", "path": str(place / "t.csv"), "text": "text", "cache": False,
            "split": {"val": 8, "test": 0},
            "transforms": [{"tokenize": {"max_length": 24, **tokenize}}],
        },
        "model": {"name": "hf", "path": str(place / "llama")},
        "adapt": [{"match": "*_proj", "lora": {"rank": 4, "dropout": 0.2}}],
    }  # fmt: skip


def images(place: Path) -> dict[str, Any]:
    """Pictures that are cropped, turned, distorted, erased and mixed at random."""
    return COMMON | {
        "task": "classification",
        "data": {
            "source": "images", "path": str(place / "pictures"), "split": {"val": 8, "test": 8},
            "transforms": [
                {"resize": {"size": 14}}, {"random_crop": {"size": 12, "padding": 2}}, "flip",
                {"randaugment": {"ops": 2, "magnitude": 7}}, "normalize", {"erase": {}},
                {"mixup": {"alpha": 0.4}},
            ],
        },
        "model": {"name": "sequential", "layers": [
            {"conv2d": 6, "kernel": 3}, "batchnorm", "relu", "globalpool", {"dropout": 0.2},
            {"linear": "out"},
        ]},
    }  # fmt: skip


def kinds(place: Path) -> dict[str, dict[str, Any]]:
    """Each kind by name, for `configuration(plain=…)`."""
    return {
        "table": EVERYTHING,
        "padded texts": lora(place),
        "packed texts": lora(place, packing=True),
        "images": images(place),
    }
