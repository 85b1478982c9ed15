"""Short trainings with a frozen prefix, and what each step of them gave."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ftune.assembly.build import build, read_data, start
from ftune.assembly.job import job
from ftune.assembly.parts import Parts
from ftune.engine.callback import Callback
from ftune.engine.loop import fit
from ftune.engine.scores import Scores
from ftune.engine.state import State
from ftune.engine.step import StepResult
from ftune.extend import load_code
from ftune.schema.root import LANGUAGE

CPU = {"device": "cpu", "threads": 1}
CONVNET = """
import ftune
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.fc1, self.fc2 = nn.Linear(96, 20), nn.Linear(20, outputs)

    def forward(self, x):
        x = x.reshape(-1, 1, 8, 8)
        x = self.norm(F.relu(self.conv2(F.relu(self.conv1(x)))))
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


@ftune.model("convnet")
def convnet(outputs):
    return Net(outputs)
"""
DIGITS = {"source": "sklearn", "name": "digits", "limit": 200, "split": {"val": 40, "test": 40}}


class Seen(Callback):
    """Keeps losses, validation losses, warnings and the cut of each step of a training."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.losses: list[float] = []
        self.scores: list[float] = []
        self.warnings: list[str] = []
        self.cuts: list[str] = []

    def on_step(self, state: State, result: StepResult) -> None:
        del state
        self.losses.append(result.loss)
        self.cuts.append(self.parts.prefix.cut.path if self.parts.prefix.cut else "")

    def on_evaluate(self, state: State, scores: Scores) -> None:
        del state
        self.scores.append(scores["loss"])

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def config_of(name: str, folder: Path, trained: list[str], **blocks: Any) -> dict[str, Any]:
    """A training of the model `name`, of which only `trained` moves."""
    rules = [{"match": "*", "train": False}, *({"match": m, "train": True} for m in trained)]
    config = {
        "task": "classification", "optimizer": {"name": "adamw", "lr": 0.01}, "adapt": rules,
        "train": {"epochs": 3, "batch_size": 16}, "runtime": CPU, "eval": {"every": {"steps": 5}},
        **_model_and_data(name, folder),
    }  # fmt: skip
    train = config["train"] | blocks.pop("train", {})
    data = config["data"] | {"cache": str(folder / "cache")} | blocks.pop("data", {})
    return config | {"train": train, "data": data} | blocks


def _model_and_data(name: str, folder: Path) -> dict[str, Any]:
    if name == "mlp":
        return {"data": DIGITS, "model": {"name": "mlp", "width": 16, "depth": 3}}
    if name == "batchnorm":
        return {"data": DIGITS, "model": {"name": "mlp", "width": 16, "depth": 3,
                                          "norm": "batchnorm"}}  # fmt: skip
    if name == "convnet":
        file = folder / "convnet.py"
        file.write_text(CONVNET)
        load_code(file)
        return {"data": DIGITS, "model": "convnet"}
    texts = {"source": "csv", "path": str(folder / "texts.csv"), "text": "text",
             "transforms": [{"tokenize": {"max_length": 16}}], "split": {"val": 0.25}}  # fmt: skip
    rows = "".join(
        f"the {animal} sat on {place * (1 + i % 3)} {i},{animal}\n"
        for i, (animal, place) in enumerate([("cat", "mats "), ("dog", "a log ")] * 32)
    )
    (folder / "texts.csv").write_text("text,label\n" + rows)
    if name == "llama":
        model = {"name": "hf", "path": str(folder / "llama")}
        return {"task": "causal-lm", "data": texts, "model": model}
    model = {"name": "hf", "path": str(folder / "bert")}
    return {"data": {**texts, "target": "label"}, "model": model}


def trained(config: dict[str, Any], cache: str = "on") -> Seen:
    """Train, and return what was seen."""
    config = copy.deepcopy(config)
    config["train"]["cache"] = cache
    typed = LANGUAGE.of(config, ())
    seen = Seen(build(typed, read_data(typed)))
    state = start(seen.parts)
    fit(state, job(seen.parts, seen))
    return seen


def apart(a: Seen, b: Seen) -> float:
    """Return the largest difference of the losses of two trainings."""
    pairs = zip((*a.losses, *a.scores), (*b.losses, *b.scores), strict=True)
    return max(abs(x - y) for x, y in pairs)


@contextmanager
def counted_calls(seen: list[str], parts: Parts, path: str) -> Iterator[None]:
    """Note each call of a module of the model."""
    hook = parts.model.get_submodule(path).register_forward_hook(lambda *_: seen.append(path))
    try:
        yield
    finally:
        hook.remove()
