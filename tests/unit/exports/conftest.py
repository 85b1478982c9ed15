"""Trained runs of each kind, tiny and real: a table, images, texts through transformers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.trainings import configuration, undisturbed

from ftune.adapt.attach import attach
from ftune.adapt.targets import adapters_of_rules
from ftune.exports.subject import Subject
from ftune.models.hf_files import quiet
from ftune.predictor import restore
from ftune.runs.base import load_base
from ftune.schema import LANGUAGE
from ftune.weights import build_model

SENTENCES = ("the cat sat on the mat", "a dog ran far away", "the bird flew over the house",
             "fish swim in the deep blue sea")  # fmt: skip
Make = Callable[..., Path]


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
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
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    specials = ["<eos>", "<pad>"]
    core.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(vocab_size=300, special_tokens=specials, initial_alphabet=alphabet),
    )
    fast = transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core, eos_token="<eos>", pad_token="<pad>"
    )
    llama = transformers.LlamaConfig(
        vocab_size=len(fast), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, eos_token_id=0,
        pad_token_id=1, bos_token_id=None, tie_word_embeddings=True, initializer_range=0.3,
    )  # fmt: skip
    bert = transformers.BertConfig(
        vocab_size=len(fast), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=64, pad_token_id=1, initializer_range=0.3,
    )  # fmt: skip
    made = {"llama": transformers.LlamaForCausalLM, "bert": transformers.BertModel}
    for name, config in {"llama": llama, "bert": bert}.items():
        torch.manual_seed(0)
        with quiet():
            made[name](config).save_pretrained(place / name)
            fast.save_pretrained(place / name)
    return {name: place / name for name in made}


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
        "placed": {"name": "sequential", "layers": [
            {"embedding": 16, "positions": "learned"}, {"transformer": {"heads": 2}}, "globalpool",
            {"linear": "out"}]},
    }  # fmt: skip

    def run(name: str, *changes: str) -> Path:
        out = place / f"run-{name}"
        if out.exists():
            return out
        task = "causal-lm" if name in ("lm", "gpt") else "classification"
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
def adapted() -> Callable[..., Subject]:
    """The run's base with adapters on it whose weights matter, as if trained."""

    def make(run: Path, match: str, apart: bool = False, **lora: Any) -> Subject:
        base = load_base(run)
        rule = {"match": match, "lora": {"rank": 4, **lora}}
        config = LANGUAGE.of({**base.meta["config"], "adapt": [rule]}, [])
        found = restore(base)
        with quiet():
            built = build_model(config, found.pipeline, found.task, {})
        specs = adapters_of_rules(config.adapt, built.module)
        attach(built.module, specs)
        torch.manual_seed(1)
        with torch.no_grad():
            for name, parameter in built.module.named_parameters():
                if ".lora." in name and name.endswith(".B"):
                    parameter.normal_(std=0.5)
        built.module.eval()
        meta = {**base.meta, "adapters": [spec.to_json() for spec in specs]}
        kept = dataclasses.replace(base, tensors=built.module.state_dict(), meta=meta)
        predictor = dataclasses.replace(found, config=config, built=built)
        return Subject(kept, predictor, apart)

    return make
