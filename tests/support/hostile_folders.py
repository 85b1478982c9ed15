"""Hostile folders: models and adapters of others, run folders; and files of ftune's own kind."""

from __future__ import annotations

import json
import pickle
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from support import payloads as p
from support.hostile_files import jinja
from support.payloads import saved

FolderMaker = Callable[[Path, Path, "Good"], Path]


class Good:
    """What the hostile copies are made of: a sandbox's run, its exported file, and a tiny model."""

    def __init__(self, run: Path, sweep: Path, exported: Path, model: Path) -> None:
        self.run, self.sweep, self.exported, self.model = run, sweep, exported, model


def module_text(canary: Path) -> str:
    """A module that leaves its canary when it is imported, and has every class one asks for."""
    return (
        f"open({str(canary)!r}, 'w').close()\n"
        "from transformers import BertConfig, BertModel, PreTrainedTokenizerFast as Words\n"
        "class Config(BertConfig):\n    model_type = 'zork'\n"
        "class Model(BertModel):\n    config_class = Config\n"
    )


def edit_json(file: Path, **changes: Any) -> None:
    told = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**told, **changes}))


def model(at: Path, good: Good) -> Path:
    shutil.copytree(good.model, at / "model")
    return at / "model"


def _code(at: Path, canary: Path, good: Good, kind: str | None) -> Path:
    """auto_map for all; `kind`: a type that transformers does not have."""
    folder = model(at, good)
    (folder / "modeling.py").write_text(module_text(canary))
    mapped = {"AutoConfig": "modeling.Config", "AutoModel": "modeling.Model",
              "AutoModelForSequenceClassification": "modeling.Model"}  # fmt: skip
    edit_json(folder / "config.json", auto_map=mapped, **({"model_type": kind} if kind else {}))
    return folder


def _tokenizer(at: Path, canary: Path, good: Good) -> Path:
    folder = model(at, good)
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("a\nb\n")
    (folder / "words.py").write_text(module_text(canary))
    edit_json(
        folder / "tokenizer_config.json", tokenizer_class="Words",
        auto_map={"AutoTokenizer": ["words.Words", "words.Words"]},
    )  # fmt: skip
    return folder


def _elsewhere(at: Path, canary: Path, good: Good) -> Path:
    """Code of another repository, and a path that climbs out of the folder."""
    folder = _code(at, canary, good, "zork")
    mapped = {"AutoConfig": "evil/repo--modeling.Config", "AutoModel": "../modeling.Model"}
    edit_json(folder / "config.json", auto_map=mapped)
    return folder


def _bin(at: Path, canary: Path, good: Good, shards: bool) -> Path:
    folder = model(at, good)
    (folder / "model.safetensors").unlink()
    if not shards:
        saved({"w": p.by_shell(canary)}, folder / "pytorch_model.bin")
        return folder
    saved({"w": p.by_shell(canary)}, at / "outside.bin")
    index = {"metadata": {}, "weight_map": {"embeddings.word_embeddings.weight": "../outside.bin"}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder


def _generate(at: Path, canary: Path, good: Good) -> Path:
    folder = model(at, good)
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(module_text(canary))
    (folder / "custom_generate" / "requirements.txt").write_text("evil-package\n")
    (folder / "generation_config.json").write_text('{"custom_generate": "."}')
    return folder


def _template(at: Path, canary: Path, good: Good) -> Path:
    folder = model(at, good)
    (folder / "chat_template.jinja").write_text(jinja(canary))
    edit_json(folder / "tokenizer_config.json", chat_template=jinja(canary))
    return folder


def _kernel(at: Path, canary: Path, good: Good) -> Path:
    del canary
    folder = model(at, good)
    edit_json(
        folder / "config.json", attn_implementation="evil/kernel", use_kernels=True,
        quantization_config={"quant_method": "os.system", "modules": ["os"]},
    )  # fmt: skip
    return folder


def _peft(at: Path, canary: Path, good: Good, how: str) -> Path:
    settings: dict[str, Any] = {"peft_type": "LORA", "r": 2, "lora_alpha": 2,
                                "base_model_name_or_path": str(good.model)}  # fmt: skip
    (at / "evil_module.py").write_text(module_text(canary))
    if how == "mapping":
        settings["auto_mapping"] = {"base_model_class": "Model", "parent_library": "evil_module"}
    if how == "base":
        (at / "base").mkdir()
        settings["base_model_name_or_path"] = str(_code(at / "base", canary, good, "zork"))
    (at / "adapter_config.json").write_text(json.dumps(settings))
    name = "base_model.model.encoder.layer.0.attention.self.query.lora_{}.weight"
    tensors = {name.format("A"): torch.zeros(2, 32), name.format("B"): torch.zeros(32, 2)}
    if how == "bin":
        saved({**tensors, "x": p.by_exec(canary)}, at / "adapter_model.bin")
    else:
        save_file(tensors, at / "adapter_model.safetensors")
    return at


def _dcp(at: Path, canary: Path) -> Path:
    (at / ".metadata").write_bytes(pickle.dumps(p.by_shell(canary)))
    (at / "__0_0.distcp").write_bytes(pickle.dumps(p.by_shell(canary)))
    return at


def _story(at: Path, good: Good, change: Callable[[dict[str, Any]], None]) -> Path:
    """ftune's own export, with another story in its metadata."""
    from safetensors import safe_open

    with safe_open(good.exported, framework="pt") as file:
        metadata = dict(file.metadata())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    story = json.loads(metadata["ftune"])
    change(story)
    save_file(tensors, at / "m.safetensors", {**metadata, "ftune": json.dumps(story)})
    return at / "m.safetensors"


def _target(canary: Path) -> Callable[[dict[str, Any]], None]:
    def change(story: dict[str, Any]) -> None:
        call = {"_target_": "os.system", "_args_": [f"touch {canary}"]}
        story["config"] |= {"model": {"name": "os.system", **call}, "task": call}
        story["model"] = call
        story["pipeline"]["__class__"] = "os.system"

    return change


def _places(outside: Path, weights: Path) -> Callable[[dict[str, Any]], None]:
    """A configuration that writes elsewhere, and starts from a pickle."""

    def change(story: dict[str, Any]) -> None:
        story["config"]["output"] = {"folder": str(outside)}
        story["config"]["data"]["cache"] = str(outside)
        story["config"]["base"] = str(weights)

    return change


def _hf_story(at: Path, canary: Path, good: Good) -> Path:
    """An own model by its story: the folder that it names has code."""
    folder = _code(at, canary, good, "zork")

    def change(story: dict[str, Any]) -> None:
        story["config"]["model"] = {"name": "hf", "path": str(folder)}
        told = json.loads((folder / "config.json").read_text())
        story["model"] = {"kind": "encoder", "pooling": "mean", "config": told, "code": "0" * 64}

    return _story(at, good, change)


def run(at: Path, good: Good) -> Path:
    shutil.copytree(good.run, at / "run")
    edit_json(at / "run" / "run.json", status="interrupted")
    return at / "run"


def _pointers(at: Path, canary: Path, good: Good) -> Path:
    folder = run(at, good)
    saved({"x": p.by_shell(canary)}, at / "evil.safetensors")
    for name in ("best", "latest"):
        told = {"checkpoint": "../../../../etc", "step": 1, "metric": "loss", "value": 0}
        (folder / "checkpoints" / f"{name}.json").write_text(json.dumps(told))
    for manifest in folder.glob("checkpoints/step-*/manifest.json"):
        files = {"../../../evil.safetensors": "0" * 64, "/etc/passwd": "0" * 64}
        edit_json(manifest, files=files, frozen="../../evil")
    return folder


def _tags(at: Path, canary: Path, good: Good) -> Path:
    folder = run(at, good)
    text = f"!!python/object/apply:os.system ['touch {canary}']\n"
    (folder / "config.yaml").write_text(f"task: {text}model: {text}")
    return folder


def _restart(at: Path, canary: Path, good: Good) -> Path:
    """Interrupted before its first checkpoint, so that `resume` reads the base once more."""
    folder = run(at, good)
    shutil.rmtree(folder / "checkpoints")
    weights = saved({"x": p.by_shell(canary)}, at / "evil.pt")
    with (folder / "config.yaml").open("a") as file:
        file.write(f"\nbase: {weights}\n")
    return folder


def _pickled_checkpoint(at: Path, canary: Path, good: Good) -> Path:
    import hashlib

    folder = run(at, good)
    for manifest in folder.glob("checkpoints/step-*/manifest.json"):
        content = pickle.dumps(p.by_shell(canary))
        (manifest.parent / "training.safetensors").write_bytes(content)
        files = json.loads(manifest.read_text())["files"]
        files["training.safetensors"] = hashlib.sha256(content).hexdigest()
        edit_json(manifest, files=files)
    return folder


def _facts(at: Path, canary: Path, good: Good) -> Path:
    folder = run(at, good)
    edit_json(
        folder / "run.json", command=f"$(touch {canary})", pid=f"; touch {canary}",
        status="interrupted", seed="__import__('os')", data={"py/object": "os.system"},
    )  # fmt: skip
    return folder


def _links(at: Path, canary: Path, good: Good, what: str) -> Path:
    """Parts of a run folder that lie elsewhere, where `resume` would write or delete."""
    folder, outside = run(at, good), at / "outside"
    outside.mkdir()
    (outside / "step-00000000").mkdir()
    shutil.move(folder / what, outside / what)
    (folder / what).symlink_to(outside / what)
    (folder / "summary.json").unlink(missing_ok=True)
    (folder / "summary.json").symlink_to(canary)
    return folder


def _chat(at: Path, canary: Path, good: Good) -> Path:
    """A language model whose template is rendered for every conversation."""
    folder = at / "model"
    shutil.copytree(good.model.with_name("llama"), folder)
    edit_json(folder / "tokenizer_config.json", chat_template=jinja(canary))
    return folder


def _study(at: Path, canary: Path, good: Good, pickled: bool) -> Path:
    """`study.db`: a pickle in its place, or every text and blob of the tables replaced by one."""
    shutil.copytree(good.sweep, at / "sweep")
    folder = at / "sweep"
    edit_json(folder / "run.json", status="interrupted")
    content = pickle.dumps(p.by_shell(canary), protocol=0).decode()
    if pickled:
        (folder / "study.db").write_text(content)
        return folder
    with sqlite3.connect(folder / "study.db") as base:
        base.execute("update trial_params set distribution_json = ?", (content,))
        base.execute("insert into study_system_attributes (study_id, key, value_json) "
                     "values (1, 'x', ?)", (content,))  # fmt: skip
    base.close()
    return folder


FOLDERS: dict[str, FolderMaker] = {
    "hf-code": lambda at, c, g: _code(at, c, g, "zork"),
    "hf-code-known-type": lambda at, c, g: _code(at, c, g, None),
    "hf-tokenizer-code": _tokenizer,
    "hf-code-elsewhere": _elsewhere,
    "hf-bin": lambda at, c, g: _bin(at, c, g, shards=False),
    "hf-bin-outside": lambda at, c, g: _bin(at, c, g, shards=True),
    "hf-generate": _generate,
    "hf-template": _template,
    "hf-kernel": _kernel,
    "peft-bin": lambda at, c, g: _peft(at, c, g, "bin"),
    "peft-mapping": lambda at, c, g: _peft(at, c, g, "mapping"),
    "peft-base": lambda at, c, g: _peft(at, c, g, "base"),
    "dcp": lambda at, c, _: _dcp(at, c),
    "story-target": lambda at, c, g: _story(at, g, _target(c)),
    "story-places": lambda at, c, g: _story(
        at, g, _places(c.parent / "outside", saved({"x": p.by_shell(c)}, at / "evil.pt"))
    ),
    "story-code": _hf_story,
    "run-pointers": _pointers,
    "run-tags": _tags,
    "run-base": _restart,
    "run-pickle": _pickled_checkpoint,
    "run-facts": _facts,
    "run-links": lambda at, c, g: _links(at, c, g, "checkpoints"),
    "run-link-metrics": lambda at, c, g: _links(at, c, g, "metrics.jsonl"),
    "hf-chat": _chat,
    "sweep-pickle": lambda at, c, g: _study(at, c, g, pickled=True),
    "sweep-study": lambda at, c, g: _study(at, c, g, pickled=False),
}
