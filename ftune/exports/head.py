"""An encoder's pooling and linear head, as files beside it.

sentence-transformers reads the pooling and so makes the vectors; the head is a linear layer on
them, in a file of its own.
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

from ftune.exports.export_model import Batch
from ftune.exports.graph import POOLS
from ftune.models.tokens import pool

HEAD = "head.safetensors"
MODES = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens", "last": "lasttoken"}


def write_head(model: Any, longest: int, path: Path) -> list[str]:
    """model: an encoder with pooling and head; longest: tokens of a text at most."""
    save_file({k: t.contiguous() for k, t in model.head.state_dict().items()}, path / HEAD)
    parts = [("", "Transformer"), ("1_Pooling", "Pooling")]
    parts += [("2_Normalize", "Normalize")] if model.normalize else []
    modules = [
        {"idx": i, "name": str(i), "path": part, "type": f"sentence_transformers.models.{kind}"}
        for i, (part, kind) in enumerate(parts)
    ]
    modes = {f"pooling_mode_{mode}": model.pooling == name for name, mode in MODES.items()}
    _write_json(path / "modules.json", modules)
    limits = {"max_seq_length": longest, "do_lower_case": False}
    _write_json(path / "sentence_bert_config.json", limits)
    sizes = {"word_embedding_dimension": model.head.in_features}
    _write_json(path / "1_Pooling" / "config.json", {**sizes, **modes})
    return [
        "others load the encoder (transformers) and its vectors (sentence-transformers); the head "
        f"is a linear layer on these in {HEAD}, which neither of them loads"
    ]


def logits_of(call: Callable[[Batch], Any], path: Path) -> Callable[[Batch], Tensor]:
    """Return what gives logits: the model's own, or its states through the head in a folder."""
    head = _read_head(path) if (path / HEAD).is_file() else None

    @torch.no_grad()
    def run(batch: Batch) -> Tensor:
        outputs = call(batch)
        if head is not None:
            return head(outputs.last_hidden_state, batch["segments"])
        logits: Tensor = getattr(outputs, "logits", outputs)
        return logits

    return run


def _read_head(path: Path) -> Callable[[Tensor, Tensor], Tensor]:
    """From states and mask to outputs, by nothing but the folder's files."""
    weights = load_file(path / HEAD)
    modes = json.loads((path / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
    modules = json.loads((path / "modules.json").read_text(encoding="utf-8"))
    normalize = any(module["type"].endswith("Normalize") for module in modules)
    kind = next(name for name, mode in MODES.items() if modes[f"pooling_mode_{mode}"])
    outputs, inputs = weights["weight"].shape
    head = nn.Linear(inputs, outputs)
    head.load_state_dict(weights)

    def run(states: Tensor, mask: Tensor) -> Tensor:
        vectors = pool(states, mask, POOLS.get(kind, kind))
        answer: Tensor = head(F.normalize(vectors, dim=-1) if normalize else vectors)
        return answer

    return run


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
