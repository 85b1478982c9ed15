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
from ftune.errors import RequestError, RunFailedError
from ftune.exports.graph import named
from ftune.exports.head import HEAD, read_head, write_head
from ftune.exports.subject import Batch, Subject, dequantised
from ftune.exports.tokenizer import write_tokenizer
from ftune.models.call import arguments
from ftune.models.hf_files import find, load, read_config
from ftune.quiet import quiet
from ftune.secret.redact import redact
from ftune.weights import restored

TASKS = {"causal-lm": "CAUSAL_LM", "sequence": "SEQ_CLS", "token": "TOKEN_CLS",
         "encoder": "FEATURE_EXTRACTION"}  # fmt: skip


def write(subject: Subject, path: Path) -> list[str]:
    """Raises RequestError for a run without adapters, or with some that PEFT has no place for."""
    if not subject.adapted:
        raise RequestError("--format peft: this run has no adapters; the whole model: hf or pt")
    source = _source(subject)
    with quiet():
        written = write_peft(
            path,
            subject.model,
            base_model=redact(source or ""),
            strip=_strip(subject),
            task_type=TASKS.get(subject.kind),
            trained=_trained(subject),
        )
    notes = []
    if subject.kind:
        write_tokenizer(subject.tokenizer, path)
    if subject.kind == "encoder":
        notes += write_head(subject.model, subject.predictor.pipeline.features.shape[0], path)
    left = [name for name in written.left_out if not name.startswith("head.")]
    notes += [f"PEFT has no place for: {', '.join(left)}"] if left else []
    return notes + _about_base(subject, source)


def read(path: Path, subject: Subject) -> Callable[[Batch], Tensor]:
    """What PEFT computes with the adapters on their base: from its files, where they are here."""
    with quiet():
        from peft import PeftModel

    base = _inside(subject)
    if _from_files(subject):
        found, base = base, _base(subject)
        _compare(found, base, subject)
    with quiet():
        model = PeftModel.from_pretrained(base, path).eval()
    head = read_head(path) if (path / HEAD).is_file() else None

    def run(batch: Batch) -> Tensor:
        with torch.no_grad():
            found = model(**named(batch)) if subject.kind else model(*arguments(batch))
        if head is not None:
            return head(found.last_hidden_state, batch["segments"])
        logits: Tensor = found.logits if subject.kind else found
        return logits

    return run


def _strip(subject: Subject) -> str:
    """What our model puts before the base's own names."""
    return {"": "", "causal-lm": "lm."}.get(subject.kind, "encoder.")


def _source(subject: Subject) -> str | None:
    """Where the base was read from."""
    return getattr(subject.predictor.config.model, "source", None)


def _trained(subject: Subject) -> list[str]:
    """Names of the parameters that the run's rules train."""
    predictor = subject.predictor
    effects = restored(predictor.config, predictor.built, subject.base.meta).effects
    return [name for name, effect in effects.items() if effect.train]


def _from_files(subject: Subject) -> bool:
    """Whether the base can be had as others have it, and is what the adapters were trained on."""
    source = _source(subject)
    whole = not any(is_quantised(m._parameters.get("weight")) for m in subject.model.modules())
    return whole and source is not None and Path(source).exists()


def _about_base(subject: Subject, source: str | None) -> list[str]:
    if _from_files(subject):
        return []
    if source is None:
        return ["the base has no files that PEFT could find; compared on the run's own weights"]
    if not Path(source).exists():
        return [f"{source} is not here; compared on the run's own weights"]
    return ["the run's base is quantised: on the whole one, outputs differ by that rounding"]


def _base(subject: Subject) -> Any:
    """The base from its files."""
    model: Any = subject.predictor.config.model
    source = find(model.path, model.hub)
    config = read_config(source)
    config.pad_token_id = subject.tokenizer.pad
    if subject.kind in ("sequence", "token"):
        config.num_labels = subject.predictor.task.outputs
    loaded, _ = load(source, config, {"kind": subject.kind}, "pretrained")
    return loaded


def _compare(own: nn.Module, base: nn.Module, subject: Subject) -> None:
    """Raises RunFailedError where the files hold another base than the adapters stand on."""
    trained = {name.removeprefix(_strip(subject)) for name in _trained(subject)}
    known = dict(base.named_parameters())
    for name, weight in own.named_parameters():
        if name not in trained and not torch.equal(weight, known[name]):
            raise RunFailedError(
                f"the adapters stand on other weights than those in {_source(subject)} (`{name}`),"
                " where PEFT would look: export merged (hf); or first export the base as hf, and "
                "train the adapters with `model.path` on that folder"
            )


def _inside(subject: Subject) -> nn.Module:
    """The base as the run has it, adapters taken off."""
    model: Any = copy.deepcopy(subject.model).eval()
    detach(model)
    dequantised(model)
    if not subject.kind:
        return model  # type: ignore[no-any-return]
    inner: nn.Module = model.lm if subject.kind == "causal-lm" else model.encoder
    return inner
