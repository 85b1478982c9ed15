"""Every accepted key is read by something (promise B5).

Each schema class notes which of its fields are read while tiny trainings run that together use
every variant of every table and every root block. Reading a file, validating and dumping it do
not count: a key that only travels through the configuration fails here.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.tiny_hf import SENTENCES, save_models

import ftune
from ftune.commands.evaluate import evaluate
from ftune.commands.export import export
from ftune.commands.predict import predict
from ftune.config.fields import settings_of
from ftune.console import Console
from ftune.errors import RequestError
from ftune.models import LAYERS
from ftune.optim import OPTIMIZERS, SCHEDULES
from ftune.predictor import Sampling
from ftune.registry import Table
from ftune.runs.base import load_base
from ftune.schema import RunConfig

# Read from the tree of nodes, before there is an object (tests/unit/config/test_interpolate.py).
READ_BEFORE = {"Runtime.env"}
# Read where timm is (tests/unit/models/test_timm.py); the CPU build of torch has none.
NEEDS_TIMM = {"Timm.model", "Timm.pretrained", "Timm.dropout"}
TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}<eos>{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
NOT_A_USE = ("dataclasses.py", "<string>", f"ftune{os.sep}config{os.sep}", f"commands{os.sep}check")
NOT_A_USE_IN = {"__post_init__"}


def schemas(root: type) -> set[type]:
    """Every schema class that can be reached from a root."""
    found: set[type] = set()
    waiting = [root]
    while waiting:
        schema = waiting.pop()
        if schema in found:
            continue
        found.add(schema)
        for item in settings_of(schema).values():
            table: Mapping[str, type] = item.spec.table or {}
            waiting += [*table.values(), *([item.spec.schema] if item.spec.schema else [])]
    return found


class Watch:
    """Notes which fields of schema classes are read, and by whom it does not count."""

    def __init__(self, classes: set[type], patch: pytest.MonkeyPatch) -> None:
        self.fields = {
            f"{cls.__name__}.{item.attribute}"
            for cls in classes
            for item in settings_of(cls).values()
        }
        self.read: set[str] = set()
        for cls in classes:
            patch.setattr(cls, "__getattribute__", self._reader(cls), raising=False)

    def _reader(self, cls: type) -> Callable[[object, str], Any]:
        names = {item.attribute for item in settings_of(cls).values()}

        def read(instance: object, name: str) -> Any:
            if name in names:
                code = sys._getframe(1).f_code
                if code.co_name not in NOT_A_USE_IN and not any(
                    part in code.co_filename for part in NOT_A_USE
                ):
                    self.read.add(f"{type(instance).__name__}.{name}")
            return object.__getattribute__(instance, name)

        return read

    @property
    def unread(self) -> set[str]:
        return self.fields - self.read


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small table in every format; one stands in it."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.chdir(tmp_path)
    rows = [
        {"a": i / 7, "b": 1 + i % 5, "c": "xyz"[i % 3], "when": f"2026-01-{1 + i % 28:02d}",
         "who": f"p{i % 12}", "label": "no" if i % 4 else "yes", "y": 1.0 + i % 9,
         "m": i % 2, "n": i % 3 // 2}
        for i in range(60)
    ]  # fmt: skip
    with Path("t.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), "t.parquet")
    generator = np.random.default_rng(0)
    np.savez("t.npz", x=generator.normal(size=(60, 6, 8)), label=np.arange(60) % 2)
    np.savez("codes.npz", x=np.arange(240).reshape(60, 4) % 7, label=np.arange(60) % 2)
    return tmp_path


SHORT: dict[str, Any] = {
    "train": {"steps": 2, "batch_size": 16},
    "runtime": {"threads": 1},
    "optimizer": {"name": "sgd", "lr": 0.01},
}
TABLE = {"source": "csv", "path": "t.csv", "target": "label"}


def run(command: str, config: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    config = {"task": "classification", "model": {"name": "mlp", "width": 4}, **SHORT, **config}
    return ftune.run(command, config, **more)


def use_sources_and_transforms() -> None:
    dated = {"types": {"when": "date"}}
    chains: list[list[Any]] = [
        [{"drop": ["when", "who"]},
         {"impute": {"strategy": "constant", "value": 0, "text": "?"}}, "ordinal"],
        [{"select": ["a", "b"]}, {"rename": {"a": "z"}}, "quantile", {"clip": {"quantile": 0.1}},
         "log", {"scale": {"range": [0, 1]}}],
        [{"drop": ["who"]}, "date", "impute", {"one_hot": {"most": 2}}, "standardize",
         {"clip": {"low": -1, "high": 1}}, {"scale": 0.5}],
    ]  # fmt: skip
    for chain in chains:
        run("optimize", {"data": {**TABLE, **dated, "transforms": chain}})
    for name in ("parquet", "jsonl"):
        run("optimize", {"data": {**TABLE, "source": name, "path": f"t.{name}"}})
    image = {"source": "sklearn", "name": "digits", "limit": 100, "per_class": 5, "classes": [0, 1]}
    run("optimize", {"data": {**image, "transforms": [{"resize": 4}, "flatten"]}})


def use_layers() -> None:
    data = {"source": "npz", "path": "t.npz", "target": "label", "transforms": []}
    conv = [
        {"reshape": [6, 8]}, {"conv1d": 4, "kernel": 3, "padding": "same", "as": "first"},
        "batchnorm",
        {"groupnorm": {"groups": 2}}, "relu", {"maxpool": 2}, {"avgpool": 2},
        {"residual": [{"conv1d": 4, "kernel": 1}, "gelu"], "project": True},
        {"repeat": 2, "layers": ["silu", "tanh"]}, "flatten", {"reshape": [2, 4]},
        {"gru": 3, "output": "all"}, {"lstm": 3}, "layernorm", "rmsnorm", "sigmoid", "softmax",
        {"dropout": 0.1}, {"linear": "out"},
    ]  # fmt: skip
    run("optimize", {"data": data, "model": {"name": "sequential", "layers": conv}})
    digits = {"source": "sklearn", "name": "digits", "limit": 64}
    image = [{"conv2d": 2, "kernel": 3}, {"globalpool": "max"}, {"linear": "out"}]
    run("optimize", {"data": digits, "model": {"name": "sequential", "layers": image}})
    codes = [{"embedding": 3, "vocabulary": 8}, "flatten", {"linear": "out"}]
    model = {"name": "sequential", "layers": codes}
    run("optimize", {"data": {**data, "path": "codes.npz"}, "model": model})
    table = {**TABLE, "transforms": [{"drop": ["when", "who"]}, "ordinal"]}
    columns = {
        "name": "sequential",
        "layers": [{"embedding": {"columns": ["c"]}}, {"linear": "out"}],
    }
    run("optimize", {"data": table, "model": columns})
    run(
        "optimize", {"data": table, "model": {"name": "mlp", "hidden": [4, 3], "norm": "layernorm"}}
    )


def use_optimizers_and_schedules() -> None:
    special: dict[str, list[dict[str, Any]]] = {
        "step": [{"at": [0.5]}, {"every": 1}],
        "exponential": [{"gamma": 0.9}, {"final": 0.1}],
        "wsd": [{"shape": "sqrt"}, {"shape": "linear"}],
    }
    for name in OPTIMIZERS:
        run("optimize", {"data": TABLE, "optimizer": {"name": name, "lr": 0.01}})
    for name in SCHEDULES:
        for more in special.get(name, [{}]):
            run("optimize", {"data": TABLE, "schedule": {"name": name, **more}})
    still = {"train": {"steps": 4}, "eval": {"every": {"steps": 1}}}
    plateau = {"name": "plateau", "patience": 1}
    rate = {"name": "sgd", "lr": 1e-12}
    run("optimize", {"data": TABLE, "schedule": plateau, "optimizer": rate, **still})
    for warmup in (0.5, {"steps": 1}):
        run("optimize", {"data": TABLE, "schedule": {"name": "cosine", "warmup": warmup}})


def use_tasks() -> None:
    weighted = {"name": "classification", "class_weights": "balanced", "label_smoothing": 0.1}
    run("optimize", {"task": {**weighted, "positive": "yes"}, "data": TABLE})
    several = {"name": "classification", "multi_label": True, "threshold": 0.4}
    run("optimize", {"task": several, "data": {**TABLE, "target": ["m", "n"]}})
    numbers = {**TABLE, "target": "y", "target_transforms": ["standardize"]}
    run("optimize", {"task": {"name": "regression", "loss": "huber"}, "data": numbers})
    columns = {**TABLE, "split": {"group": "who", "val": 0.2}}
    run("optimize", {"data": columns})
    run("optimize", {"data": {**TABLE, "split": {"time": "when", "stratify": None}}})


def use_every_root_block(folder: Path) -> None:
    blocks: dict[str, Any] = {
        "seed": 3, "output": {"folder": str(folder / "elsewhere")},
        "train": {"epochs": 2, "batch_size": 8, "accumulate": 2, "drop_last": True, "keep": 2,
                  "clip_norm": 1.0, "clip_value": 1.0, "precision": "fp32", "ema": 0.9,
                  "early_stop": {"patience": 1}, "log_every": 1,
                  "checkpoint_every": {"epochs": 1, "steps": 1, "minutes": 1}},
        "eval": {"every": {"epochs": 1, "steps": 1}, "metric": "loss", "batch_size": 16},
        "runtime": {"device": "cpu", "threads": 1, "deterministic": True},
    }  # fmt: skip
    done = run("optimize", {"data": TABLE, **blocks})
    rules = [{"match": "*", "train": False}, {"match": "*head*", "train": True, "lr_scale": 2},
             {"match": "*.bias", "weight_decay": 0, "from_epoch": 1}]  # fmt: skip
    model = {"name": "mlp", "width": 4}
    run("finetune", {"data": {**TABLE, "statistics": "refit"}, "model": model, "adapt": rules},
        base=done["run"])  # fmt: skip
    rates = {"low": 1e-3, "high": 0.1, "per_decade": 1, "refine": 3}
    run("lr-find", {"data": TABLE, "train": {"epochs": 1}, "lr_find": rates})
    question = {"question": "?", "scientific": {"model.depth": [1, 2]}, "sampler": "grid",
                "nuisance": {"optimizer.lr": [0.1, 0.2]}, "trials": 4, "halving": 2}  # fmt: skip
    run("sweep", {"data": TABLE, "train": {"steps": 3}, "sweep": question})
    quiet, base = Console(quiet=True), load_base(Path(done["run"]))
    evaluate(base, ["data.path=t.csv"], None, quiet)
    predict(base, Path("t.csv"), Path("p.csv"), None, Sampling(), quiet)
    export(base, "pt", Path("m.pt"), quiet)


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
    asked = {"prompt": "{text}", "response": "{label}"}
    lm(asked, [{"match": "*_proj", "quantize": "int8"}, {"match": "*.q_proj", "lora": 2}],
       packing=True, max_length=48, mask_prompt=False, chat=False, add_eos=False)  # fmt: skip
    lm({"text": "text"}, [{"match": "*_proj", "peft": {"type": "ia3"}}], stream=True,
       max_length=8)  # fmt: skip
    lm({"text": "text"}, [{"match": "*", "layer_decay": 0.8}])
    play = {"source": "text", "path": "play.txt", "unit": "paragraphs"}
    run("finetune", {"task": "causal-lm", "data": play, "model": model})


def write_words_and_pictures() -> None:
    from PIL import Image

    talk = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    rows = [
        {"text": SENTENCES[i % 4], "label": "ab"[i % 2], "words": SENTENCES[i % 4].split(),
         "tags": ["B-X" if len(w) > 3 else "O" for w in SENTENCES[i % 4].split()], "chat": talk}
        for i in range(40)
    ]  # fmt: skip
    Path("words.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    Path("play.txt").write_text("\n\n".join(SENTENCES * 20), encoding="utf-8")
    lines = ["file,label"]
    for i in range(40):
        file = Path("pictures", "ab"[i % 2], f"{i}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (i, 5 * i, 255 - i)).save(file)
        lines.append(f"{file},{'ab'[i % 2]}")
    Path("pictures.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_every_setting_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(schemas(RunConfig), monkeypatch)
    use_sources_and_transforms()
    use_layers()
    use_optimizers_and_schedules()
    use_tasks()
    use_every_root_block(folder)
    write_words_and_pictures()
    use_images()
    use_texts(folder)
    assert watch.fields >= READ_BEFORE | NEEDS_TIMM
    assert sorted(watch.unread - READ_BEFORE - NEEDS_TIMM) == []


def test_the_walk_reaches_every_variant() -> None:
    from ftune import data, models, optim, tasks

    tables = [t for room in (data, models, optim, tasks) for t in vars(room).values()]
    found = schemas(RunConfig)
    for table in (t for t in tables if isinstance(t, Table) and t is not data.PIPELINES):
        assert {table[name] for name in table} <= found
    assert LAYERS["linear"] in found


@pytest.fixture
def optimizer_with_an_unread_key(monkeypatch: pytest.MonkeyPatch) -> Iterator[type]:
    from ftune.config.fields import setting
    from ftune.optim.sgd import Sgd

    extended = dataclasses.make_dataclass(
        "Extended", [("unread", float, setting(0.0))], bases=(Sgd,), frozen=True
    )
    extended.__module__ = __name__
    monkeypatch.setitem(OPTIMIZERS._entries, "extended", extended)
    yield extended
    settings_of.cache_clear()


@pytest.mark.usefixtures("folder", "optimizer_with_an_unread_key")
def test_a_key_that_nothing_reads_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(schemas(RunConfig), monkeypatch)
    run("optimize", {"data": TABLE, "optimizer": {"name": "extended", "lr": 0.1, "unread": 2.0}})
    assert "Extended.unread" in watch.unread
    assert "Extended.momentum" not in watch.unread
