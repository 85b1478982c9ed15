"""The folder of a Hugging Face model: `from_pretrained` of model and tokenizer loads it.

Of an encoder with pooling and a head of ours, transformers and sentence-transformers load the
encoder and its vectors; the head is a linear layer on them, in a file beside.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from ftune.errors import RequestError
from ftune.exports.graph import named, still
from ftune.exports.subject import Batch, Subject
from ftune.exports.tokenizer import read_tokenizer, write_tokenizer
from ftune.models.tokens import pool

FACTORIES = {
    "causal-lm": "AutoModelForCausalLM",
    "sequence": "AutoModelForSequenceClassification",
    "token": "AutoModelForTokenClassification",
    "encoder": "AutoModel",
}
HEAD = "head.safetensors"
POOLING = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens", "last": "lasttoken"}


def write(subject: Subject, path: Path) -> list[str]:
    """Raises RequestError for a model that is not of transformers."""
    kind = kind_of(subject, "hf")
    model = subject.plain
    inner: Any = model.lm if kind == "causal-lm" else model.encoder
    tokenizer = subject.predictor.pipeline.tokenizer  # type: ignore[attr-defined]
    inner.config.pad_token_id = tokenizer.pad
    _name_outputs(subject, inner.config)
    if kind == "causal-lm":
        _prepare_generation(subject, inner)
    with still():
        inner.save_pretrained(path)
    write_tokenizer(tokenizer, path)
    _, untied = subject.merged
    notes = [f"no longer shared with other modules: {', '.join(untied)}"] if untied else []
    return notes + (_write_head(subject, path) if kind == "encoder" else [])


def read(path: Path, subject: Subject) -> Callable[[Batch], Tensor]:
    """What transformers computes. Raises RunFailedError where the tokenizer gives other ids."""
    import transformers

    kind = kind_of(subject, "hf")
    read_tokenizer(subject.predictor.pipeline.tokenizer, path)  # type: ignore[attr-defined]
    with still():
        factory = getattr(transformers, FACTORIES[kind])
        model = factory.from_pretrained(path, local_files_only=True).eval()
    head = _read_head(path) if kind == "encoder" else None

    def run(batch: Batch) -> Tensor:
        given = named(batch)
        with torch.no_grad():
            found = model(**given)
        if head is None:
            logits: Tensor = found.logits
            return logits
        return head(found.last_hidden_state, given["attention_mask"])

    return run


def kind_of(subject: Subject, form: str) -> str:
    """causal-lm, encoder, sequence or token. Raises RequestError for other models."""
    kind = subject.predictor.built.story.get("kind")
    if kind not in FACTORIES:
        raise RequestError(
            f"--format {form}: only models of transformers (`model.name: hf`) can be written so; "
            "this one: safetensors, pt, onnx or torch-export"
        )
    return str(kind)


def _name_outputs(subject: Subject, config: Any) -> None:
    """Classes, labels or targets by the place of their output."""
    target, task = subject.predictor.pipeline.target, subject.predictor.task
    if target.kind == "tokens":
        return
    config.id2label = dict(enumerate(task.output_names))
    config.label2id = {name: place for place, name in config.id2label.items()}
    problems = {"numbers": "regression", "labels": "multi_label_classification",
                "classes": "single_label_classification"}  # fmt: skip
    config.problem_type = problems.get(target.kind)


def _prepare_generation(subject: Subject, lm: Any) -> None:
    """As the base's files say; it ends where `ftune predict` ends."""
    from transformers import GenerationConfig

    pipeline: Any = subject.predictor.pipeline
    source = Path(getattr(subject.predictor.config.model, "path", None) or "")
    if (source / "generation_config.json").is_file():
        with still():
            lm.generation_config = GenerationConfig.from_pretrained(source)
    lm.generation_config.pad_token_id = pipeline.tokenizer.pad
    lm.generation_config.eos_token_id = pipeline.stop_ids or lm.generation_config.eos_token_id


def _write_head(subject: Subject, path: Path) -> list[str]:
    """Our head, and how sentence-transformers makes the vectors that it takes."""
    model: Any = subject.plain
    save_file({k: t.contiguous() for k, t in model.head.state_dict().items()}, path / HEAD)
    parts = [("", "Transformer"), ("1_Pooling", "Pooling")]
    parts += [("2_Normalize", "Normalize")] if model.normalize else []
    modules = [
        {"idx": i, "name": str(i), "path": part, "type": f"sentence_transformers.models.{kind}"}
        for i, (part, kind) in enumerate(parts)
    ]
    longest = subject.predictor.pipeline.features.shape[0]
    modes = {f"pooling_mode_{mode}": model.pooling == name for name, mode in POOLING.items()}
    _write_json(path / "modules.json", modules)
    _write_json(path / "sentence_bert_config.json",
                {"max_seq_length": longest, "do_lower_case": False})  # fmt: skip
    _write_json(path / "1_Pooling" / "config.json",
                {"word_embedding_dimension": model.head.in_features, **modes})  # fmt: skip
    return [
        "transformers loads the encoder (AutoModel), sentence-transformers its vectors; the head "
        f"is a linear layer on these in {HEAD}, which neither of them loads"
    ]


def _read_head(path: Path) -> Callable[[Tensor, Tensor], Tensor]:
    """From states and mask to outputs, by nothing but the folder's files."""
    weights = load_file(path / HEAD)
    modes = json.loads((path / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
    modules = json.loads((path / "modules.json").read_text(encoding="utf-8"))
    normalize = any(module["type"].endswith("Normalize") for module in modules)
    kind = next(name for name, mode in POOLING.items() if modes[f"pooling_mode_{mode}"])
    head = nn.Linear(*reversed(weights["weight"].shape))
    head.load_state_dict(weights)

    def run(states: Tensor, mask: Tensor) -> Tensor:
        vectors = pool(states, mask, {"mean": "avg", "cls": "first"}.get(kind, kind))
        with torch.no_grad():
            found: Tensor = head(F.normalize(vectors, dim=-1) if normalize else vectors)
        return found

    return run


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
