"""A small GPT trained from scratch, against the loop that nanoGPT's train.py spells out.

From it come the loss over every position of a block, accumulation by dividing each loss, clipping
by norm, AdamW that decays matrices only, and the cosine after a linear warm-up.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.differential import Table, agrees, each
from torch.nn import functional as F

import ftune
from ftune.runs.folder import read_metrics

transformers = pytest.importorskip("transformers")

STEPS, BLOCK, BATCH, PARTS = 6, 16, 2, 2
WARMUP, RATE = 2, 0.01


def _model_folder(folder: Path, seed: int) -> Path:
    from support.tiny_hf import save_models

    path = save_models(folder)["gpt2"]
    config = transformers.GPT2Config.from_pretrained(
        path, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0
    )
    torch.manual_seed(seed)
    transformers.GPT2LMHeadModel(config).save_pretrained(path)
    return path


def _losses(model: Any, batches: list[list[torch.Tensor]], broken: bool) -> list[float]:
    """nanoGPT's loop; broken: its decay also of biases and norms, and a rate that starts at 0."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1},
              {"params": others, "weight_decay": 0.1 * broken}]  # fmt: skip
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.95))
    losses = []
    for step, micro in enumerate(batches):
        factor = (step + (not broken)) / (WARMUP + 1)
        if step >= WARMUP:
            factor = 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))
        for group in optimizer.param_groups:
            group["lr"] = RATE * factor
        total = 0.0
        for tokens in micro:
            logits = model(tokens).logits[:, :-1]
            loss: Any = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()) / len(micro)
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
    return losses


def _config(folder: Path, model: Path, texts: list[str], seed: int) -> dict[str, Any]:
    (folder / "t.csv").write_text("\n".join(["text", *texts]) + "\n")
    bare = [
        {"match": f"*{name}", "weight_decay": 0.0}
        for name in (".bias", "ln_?.weight", "ln_f.weight")
    ]
    file = str(folder / "t.csv")
    return {
        "task": "causal-lm", "seed": seed,
        "data": {"source": "csv", "path": {"train": file, "val": file}, "text": "text",
                 "cache": False, "types": {"text": "text"}},
        "model": {"name": "hf", "path": str(model)}, "adapt": bare,
        "optimizer": {"name": "adamw", "lr": RATE, "betas": [0.9, 0.95], "weight_decay": 0.1},
        "schedule": {"name": "cosine", "warmup": {"steps": WARMUP}},
        "train": {"steps": STEPS, "batch_size": BATCH, "accumulate": PARTS, "clip_norm": 1.0,
                  "log_every": 1},
        "runtime": {"threads": 1, "device": "cpu"},
    }  # fmt: skip


def _training(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    """The loss of each step. All rows are in each of them, so their order is nobody's concern."""
    with tempfile.TemporaryDirectory() as place:
        folder, seed = Path(place), int(rng.integers(99))
        path = _model_folder(folder, seed)
        texts = ["".join(map(str, rng.integers(0, 10, BLOCK))) for _ in range(BATCH * PARTS)]
        ftune.run("finetune", _config(folder, path, texts, seed), base=path, out=folder / "run")
        lines = read_metrics(folder / "run/metrics.jsonl")
        ours = [line["loss"] for line in lines if line["split"] == "train"]
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        model = transformers.GPT2LMHeadModel.from_pretrained(path).train()
        tokens: Any = torch.tensor(
            [[*tokenizer(text).input_ids, tokenizer.eos_token_id] for text in texts]
        )
        batches = [list(tokens.split(BATCH)) for _ in range(STEPS)]
        return ours[:STEPS], _losses(model, batches, broken)


TABLE: Table = {"training": (1e-5, _training)}


@each(TABLE)
@pytest.mark.filterwarnings("ignore")
def test_nanogpt(name: str) -> None:
    agrees(TABLE, name)
