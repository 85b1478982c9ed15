"""The folder of a Hugging Face model: `from_pretrained` of model and tokenizer loads it.

Of an encoder with pooling and a head of ours, transformers and sentence-transformers load the
encoder and its vectors; the head is a linear layer on them, in a file beside.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from ftune.errors import RequestError
from ftune.exports.export_model import Batch, ExportModel
from ftune.exports.graph import named
from ftune.exports.head import logits_of, write_head
from ftune.exports.tokenizer import read_tokenizer, write_tokenizer
from ftune.log_suppression import quiet

FACTORIES = {
    "causal-lm": "AutoModelForCausalLM",
    "sequence": "AutoModelForSequenceClassification",
    "token": "AutoModelForTokenClassification",
    "encoder": "AutoModel",
}


def write(export_model: ExportModel, path: Path) -> list[str]:
    """Raises RequestError for a model that is not of transformers."""
    if export_model.kind not in FACTORIES:
        raise RequestError(
            "--format hf: only a model of transformers (`model.name: hf`) can be written so; "
            "this one: safetensors, pt, onnx or torch-export"
        )
    if export_model.predictor.built.model_card.get("code"):
        raise RequestError(
            "--format hf: the model's class is code of its base's own folder, which is not copied "
            "on; write safetensors or pt, and load them with that folder's code"
        )
    inner = export_model.inner
    _name_outputs(export_model, inner.config)
    if export_model.kind == "causal-lm":
        _prepare_generation(export_model, inner)
    with quiet():
        inner.save_pretrained(path)
    write_tokenizer(export_model.tokenizer, path)
    _, untied = export_model.merged
    notes = [f"no longer shared with other modules: {', '.join(untied)}"] if untied else []
    if export_model.kind == "encoder":
        notes += write_head(
            export_model.plain, export_model.predictor.pipeline.features.shape[0], path
        )
    return notes


def read(path: Path, export_model: ExportModel) -> Callable[[Batch], Tensor]:
    """What transformers computes. Raises RunFailedError where the tokenizer gives other ids."""
    import transformers

    read_tokenizer(export_model.tokenizer, path)
    with quiet():
        factory = getattr(transformers, FACTORIES[export_model.kind])
        model = factory.from_pretrained(path, local_files_only=True, trust_remote_code=False).eval()
    return logits_of(lambda batch: model(**named(batch)), path)


def _name_outputs(export_model: ExportModel, config: Any) -> None:
    """Classes, labels or targets by the place of their output."""
    target, task = export_model.predictor.pipeline.target, export_model.predictor.task
    if target.kind == "tokens":
        return
    config.id2label = dict(enumerate(task.output_names))
    config.label2id = {name: index for index, name in config.id2label.items()}
    problems = {"numbers": "regression", "labels": "multi_label_classification",
                "classes": "single_label_classification"}  # fmt: skip
    config.problem_type = problems.get(target.kind)


def _prepare_generation(export_model: ExportModel, lm: Any) -> None:
    """As the base's files say; it ends where `ftune predict` ends."""
    from transformers import GenerationConfig

    pipeline: Any = export_model.predictor.pipeline
    source = Path(getattr(export_model.predictor.config.model, "path", None) or "")
    if (source / "generation_config.json").is_file():
        with quiet():
            lm.generation_config = GenerationConfig.from_pretrained(source)
    lm.generation_config.pad_token_id = pipeline.tokenizer.pad
    lm.generation_config.eos_token_id = pipeline.stop_ids or lm.generation_config.eos_token_id
