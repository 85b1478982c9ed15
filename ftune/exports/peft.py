"""PEFT's folder: the adapters alone, to be put on the base that they were trained on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ftune.adapt.attach import detach
from ftune.adapt.peft_write import write_peft
from ftune.adapt.quantize import is_quantised
from ftune.assembly.initial_weights import restored
from ftune.errors import RequestError, RunFailedError
from ftune.exports.export_model import Batch, ExportModel, dequantised
from ftune.exports.graph import named
from ftune.exports.head import logits_of, write_head
from ftune.exports.tokenizer import write_tokenizer
from ftune.log_suppression import quiet
from ftune.models.call import arguments
from ftune.models.hf_files import find, load, read_config
from ftune.security.redact import redact

TASKS = {"causal-lm": "CAUSAL_LM", "sequence": "SEQ_CLS", "token": "TOKEN_CLS",
         "encoder": "FEATURE_EXTRACTION"}  # fmt: skip


def write(export_model: ExportModel, path: Path) -> list[str]:
    """Raises RequestError for a run without adapters, or with some that PEFT has no place for."""
    if not export_model.adapted:
        raise RequestError("--format peft: this run has no adapters; the whole model: hf or pt")
    source = _source(export_model)
    with quiet():
        written = write_peft(
            path,
            export_model.model,
            base_model=redact(source or ""),
            strip=_strip(export_model),
            task_type=TASKS.get(export_model.kind),
            trained=_trained(export_model),
        )
    notes = []
    if export_model.kind:
        write_tokenizer(export_model.tokenizer, path)
    if export_model.kind == "encoder":
        notes += write_head(
            export_model.model, export_model.predictor.pipeline.features.shape[0], path
        )
    left = [name for name in written.left_out if not name.startswith("head.")]
    notes += [f"PEFT has no place for: {', '.join(left)}"] if left else []
    return notes + _about_base(export_model, source)


def read(path: Path, export_model: ExportModel) -> Callable[[Batch], Tensor]:
    """What PEFT computes with the adapters on their base: from its files, where they are here."""
    with quiet():
        from peft import PeftModel

    base = _inside(export_model)
    if _from_files(export_model):
        inner, base = base, _base(export_model)
        _compare(inner, base, export_model)
    with quiet():
        model = PeftModel.from_pretrained(base, path).eval()
    if export_model.kind:
        return logits_of(lambda batch: model(**named(batch)), path)
    return logits_of(lambda batch: model(*arguments(batch)), path)


def _strip(export_model: ExportModel) -> str:
    """What our model puts before the base's own names."""
    return {"": "", "causal-lm": "lm."}.get(export_model.kind, "encoder.")


def _source(export_model: ExportModel) -> str | None:
    """Where the base was read from."""
    return getattr(export_model.predictor.config.model, "source", None)


def _trained(export_model: ExportModel) -> list[str]:
    """Names of the parameters that the run's rules train."""
    predictor = export_model.predictor
    effects = restored(predictor.config, predictor.built, export_model.base.card).effects
    return [name for name, effect in effects.items() if effect.train]


def _from_files(export_model: ExportModel) -> bool:
    """Whether the base can be had as others have it, and is what the adapters were trained on."""
    source = _source(export_model)
    whole = not any(is_quantised(m._parameters.get("weight")) for m in export_model.model.modules())
    return whole and source is not None and Path(source).exists()


def _about_base(export_model: ExportModel, source: str | None) -> list[str]:
    if _from_files(export_model):
        return []
    if source is None:
        return ["the base has no files that PEFT could find; compared on the run's own weights"]
    if not Path(source).exists():
        return [f"{source} is not here; compared on the run's own weights"]
    return ["the run's base is quantised: on the whole one, outputs differ by that rounding"]


def _base(export_model: ExportModel) -> Any:
    """The base from its files."""
    model: Any = export_model.predictor.config.model
    source = find(model.path, model.hub)
    config = read_config(source)
    config.pad_token_id = export_model.tokenizer.pad
    if export_model.kind in ("sequence", "token"):
        config.num_labels = export_model.predictor.task.outputs
    loaded, _ = load(source, config, {"kind": export_model.kind}, "pretrained")
    return loaded


def _compare(own: nn.Module, base: nn.Module, export_model: ExportModel) -> None:
    """Raises RunFailedError where the files hold another base than the adapters stand on."""
    trained = {name.removeprefix(_strip(export_model)) for name in _trained(export_model)}
    known = dict(base.named_parameters())
    for name, weight in own.named_parameters():
        if name not in trained and not torch.equal(weight, known[name]):
            raise RunFailedError(
                f"the adapters stand on other weights than those in {_source(export_model)}"
                f" (`{name}`), where PEFT would look: export merged (hf); or first export the"
                " base as hf, and train the adapters with `model.path` on that folder"
            )


def _inside(export_model: ExportModel) -> nn.Module:
    """The base as the run has it, adapters taken off."""
    model: Any = copy.deepcopy(export_model.model).eval()
    detach(model)
    dequantised(model)
    if not export_model.kind:
        return model  # type: ignore[no-any-return]
    inner: nn.Module = model.lm if export_model.kind == "causal-lm" else model.encoder
    return inner
