"""Trained runs of each kind, tiny and real: a table, images, texts through transformers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.tiny_hf import SENTENCES, save_models
from support.trainings import configuration, undisturbed

from ftune.adapt.edits import replay, write_edits
from ftune.adapt.targets import edits_of_rules
from ftune.assembly.structure import build_model
from ftune.exports.export_model import ExportModel
from ftune.log_suppression import quiet
from ftune.predictor import restore
from ftune.runs.base import load_base
from ftune.runs.model_card import ModelCard
from ftune.schema.root import LANGUAGE

Make = Callable[..., Path]


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("exports")
    lines = [f"{text},{'ab'[i % 2]}" for i, text in enumerate(SENTENCES * 10)]
    (found / "t.csv").write_text("text,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return found


@pytest.fixture(scope="session")
def table(place: Path) -> Path:
    """A run over iris."""
    undisturbed(configuration("train.epochs=1"), place / "table")
    return place / "table"


@pytest.fixture(scope="session")
def images(place: Path) -> Path:
    """A run of a convolutional network over digits."""
    layers = [{"conv2d": 4, "kernel": 3, "padding": "same"}, "batchnorm", "relu", "globalpool",
              {"linear": "out", "as": "head"}]  # fmt: skip
    plain = {"task": "classification", "data": {"source": "sklearn", "name": "digits"},
             "model": {"name": "sequential", "layers": layers},
             "train": {"steps": 3}, "runtime": {"threads": 1, "device": "cpu"}}  # fmt: skip
    undisturbed(LANGUAGE.of(plain, []), place / "images")
    return place / "images"


@pytest.fixture(scope="session")
def folders(place: Path) -> dict[str, Path]:
    """Models of transformers with random weights, each with a tokenizer trained on the texts."""
    return save_models(place)


@pytest.fixture(scope="session")
def texts(place: Path, folders: dict[str, Path]) -> Callable[..., Path]:
    """A run over the sentences with a model of one of these kinds, by its name."""
    models: dict[str, Any] = {
        "lm": {"name": "hf", "path": str(folders["llama"])},
        "encoder": {"name": "hf", "path": str(folders["bert"])},
        "sequence": {"name": "hf", "path": str(folders["bert"]), "kind": "sequence"},
        "last": {"name": "hf", "path": str(folders["llama"]), "kind": "sequence"},
        "gpt": {"name": "sequential", "layers": [
            {"embedding": 16}, {"transformer": {"heads": 2, "causal": True}}, "layernorm",
            {"linear": "out", "tied": True}]},
        "rotary": {"name": "sequential", "layers": [
            {"embedding": 16},
            {"transformer": {"heads": 2, "causal": True, "positions": "rotary"}}, "layernorm",
            {"linear": "out"}]},
        "placed": {"name": "sequential", "layers": [
            {"embedding": 16, "positions": "learned"}, {"transformer": {"heads": 2}}, "globalpool",
            {"linear": "out"}]},
    }  # fmt: skip

    def run(name: str, *changes: str) -> Path:
        out = place / f"run-{name}"
        if out.exists():
            return out
        task = "causal-lm" if name in ("lm", "gpt", "rotary") else "classification"
        data = {"source": "csv", "path": str(place / "t.csv"), "text": "text", "cache": False,
                "split": {"val": 4, "test": 4}}  # fmt: skip
        data |= {"target": "label"} if task == "classification" else {}
        plain = {"task": task, "data": data, "model": models[name],
                 "train": {"steps": 2, "batch_size": 4}, "optimizer": {"name": "adamw", "lr": 0.01},
                 "runtime": {"threads": 1, "device": "cpu"}}  # fmt: skip
        undisturbed(LANGUAGE.of(plain, changes), out)
        return out

    return run


@pytest.fixture
def adapted() -> Callable[..., ExportModel]:
    """The run's base with adapters on it whose weights matter, as if trained."""

    def make(run: Path, match: str, apart: bool = False, **lora: Any) -> ExportModel:
        base = load_base(run)
        rule = {"match": match, "lora": {"rank": 4, **lora}}
        config = LANGUAGE.of({**base.meta["config"], "adapt": [rule]}, [])
        found = restore(base)
        with quiet():
            built = build_model(config, found.pipeline, found.task, ModelCard())
        specs = edits_of_rules(config.adapt, built.module)
        replay(built.module, specs)
        torch.manual_seed(1)
        with torch.no_grad():
            for name, parameter in built.module.named_parameters():
                if ".lora." in name and name.endswith(".B"):
                    parameter.normal_(std=0.5)
        built.module.eval()
        meta = {**base.meta, **write_edits(specs)}
        kept = dataclasses.replace(base, tensors=built.module.state_dict(), meta=meta)
        predictor = dataclasses.replace(found, config=config, built=built)
        return ExportModel(kept, predictor, apart)

    return make
