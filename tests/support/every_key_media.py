"""Tiny trainings that use every key of images, texts and language models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ftune.errors import RequestError
from support.every_key import (
    run,
    use_every_root_block,
    use_layers,
    use_optimizers_and_schedules,
    use_sources_and_transforms,
    use_tasks,
)
from support.key_data import write_tables, write_words_and_pictures
from support.tiny_hf import save_models

TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}<eos>{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def use_everything(folder: Path) -> None:
    """All of them, with the data of `key_data` in the current folder."""
    write_tables()
    use_sources_and_transforms()
    use_layers()
    use_optimizers_and_schedules()
    use_tasks()
    use_every_root_block(folder)
    write_words_and_pictures()
    use_images()
    use_texts(folder)


def use_images() -> None:
    """Folders of 8 × 8 pictures, and a table of their paths."""
    folders = {"source": "images", "path": "pictures", "cache": "kept", "split": {"val": 8}}
    grey = {"layers": [{"conv2d": 2, "kernel": 3}, "globalpool", {"linear": "out"}]}
    chains: list[list[Any]] = [
        [{"pad": {"size": 12, "fill": 9}}, {"resize": {"size": [8, 8], "interpolation": "nearest"}},
         {"random_crop": {"size": 8, "padding": 1, "fill": 3}},
         {"flip": {"direction": "both", "probability": 0.5}},
         {"rotate": {"degrees": 9, "fill": 1}}, {"normalize": {"mean": "imagenet"}},
         {"erase": {"probability": 1, "area": [0.1, 0.2], "ratio": [0.5, 2], "fill": "noise"}},
         {"mixup": {"alpha": 0.4, "probability": 0.9}},
         {"cutmix": {"alpha": 0.4, "probability": 0.9}}],
        [{"random_resized_crop": {"size": 8, "area": [0.3, 1], "ratio": [0.9, 1.1]}},
         {"affine": {"degrees": 4, "translate": 0.1, "scale": [0.9, 1.1], "shear": 3, "fill": 2}},
         {"color_jitter": {"brightness": 0.1, "contrast": 0.1, "saturation": 0.1, "hue": 0.1}},
         {"kornia": "RandomGaussianBlur",
          "settings": {"kernel_size": [3, 3], "sigma": [0.1, 1.0], "p": 1.0}},
         {"randaugment": {"ops": 1, "magnitude": 5, "fill": 4}},
         {"normalize": {"mean": [0.5] * 3, "std": [0.2] * 3}}],
        ["auto", {"center_crop": 6}, {"grayscale": {"channels": 1}}],
    ]  # fmt: skip
    for chain in chains:
        model = {"name": "sequential", **grey}
        run("optimize", {"data": {**folders, "transforms": chain}, "model": model})
    table = {"source": "csv", "path": "pictures.csv", "image": "file", "target": "label"}
    run("optimize", {"data": table, "model": {"name": "sequential", **grey}})


def use_texts(folder: Path) -> None:
    """Sentences and stories with small models of our own and of transformers."""
    models = save_models(folder)
    own = {"name": "sequential", "layers": [
        {"embedding": 8, "positions": "sinusoidal"},
        {"transformer": {"heads": 2, "width": 8, "feedforward": 8, "dropout": 0.1,
                         "positions": "rotary", "norm": "rmsnorm", "activation": "swiglu",
                         "pre_norm": False, "bias": False, "init": "xavier_normal"}},
        "globalpool", {"linear": "out"}]}  # fmt: skip
    words = {"source": "jsonl", "path": "words.jsonl", "cache": False}
    sentences = {**words, "text": "text", "target": "label"}
    bpe = {"tokenize": {"tokenizer": "bpe", "vocabulary": 280, "max_length": 12}}
    run("optimize", {"data": {**sentences, "transforms": [bpe]}, "model": own})
    bert = {"name": "hf", "path": str(models["bert"])}
    for more in ({"kind": "encoder", "pooling": "cls", "normalize": True, "dropout": 0.2},
                 {"weights": "random", "attention": "eager"}):  # fmt: skip
        run("finetune", {"data": sentences, "model": {**bert, **more}})
    with pytest.raises(RequestError, match="hub"):
        run("optimize", {"data": sentences, "model": {"name": "hf", "hub": "nobody/nothing"}})
    tags = {"name": "token-classification", "label_smoothing": 0.1}
    run("finetune", {"task": tags, "data": {**words, "text": "words", "target": "tags"},
                     "model": bert})  # fmt: skip
    use_language_models(words, {"name": "hf", "path": str(models["llama"])})


def use_language_models(words: dict[str, Any], model: dict[str, Any]) -> None:
    def lm(data: dict[str, Any], rules: list[dict[str, Any]], **tokenize: Any) -> None:
        data = {**words, "transforms": [{"tokenize": tokenize}], **data}
        run("finetune", {"task": {"name": "causal-lm", "label_smoothing": 0.1}, "data": data,
                         "model": model, "adapt": rules})  # fmt: skip

    everything = {
        "rank": 2, "alpha": 4, "dropout": 0.1, "rslora": True, "dora": True, "init": "gaussian",
        "bias": True, "lora_plus": 4, "modules_to_save": ["*.norm"], "name": "other",
    }  # fmt: skip
    lm({"messages": "chat"}, [{"match": "*_proj", "lora": everything}], chat_template=TEMPLATE)
    keys = {"column": "chat", "role": "role", "content": "content", "roles": {"agent": "assistant"},
            "tools": "kit", "system": "label"}  # fmt: skip
    lm({"messages": keys}, [{"match": "*", "layer_decay": 0.8}], chat_template=TEMPLATE)
    asked = {"prompt": "{text}", "response": "{label}"}
    lm(asked, [{"match": "*_proj", "quantize": "int8"}, {"match": "*.q_proj", "lora": 2}],
       packing=True, max_length=48, mask_prompt=False, chat=False, add_eos=False)  # fmt: skip
    lm({"text": "text"}, [{"match": "*_proj", "peft": {"type": "ia3"}}], stream=True,
       max_length=8)  # fmt: skip
    lm({"text": "text"}, [{"match": "*", "layer_decay": 0.8}])
    play = {"source": "text", "path": "play.txt", "unit": "paragraphs"}
    lean = {"steps": 2, "batch_size": 16, "activation_checkpointing": True, "cache": "on"}
    run("finetune", {"task": "causal-lm", "data": play, "model": model, "train": lean})
