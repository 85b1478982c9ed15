"""LoRA trained by ftune against PEFT: the same start, the same losses, the same adapter."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.differential import Table, agrees, each

import ftune

transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")
ROWS, STEPS, RATE = 6, 4, 0.05
WAYS: tuple[dict[str, Any], ...] = ({}, {"rslora": True}, {"dora": True})


def _trained(folder: Path, model: Path, lora: dict[str, Any], texts: list[str], steps: int) -> Path:
    (folder / "t.csv").write_text("\n".join(["text", *texts]) + "\n")
    file, out = str(folder / "t.csv"), folder / f"run-{steps}"
    ftune.run("finetune", {
        "task": "causal-lm", "seed": 3,
        "data": {"source": "csv", "path": {"train": file, "val": file}, "text": "text",
                 "cache": False},
        "model": {"name": "hf", "path": str(model)},
        "adapt": [{"match": "*_proj", "lora": lora}],
        "optimizer": {"name": "sgd", "lr": RATE, "momentum": 0.0},
        "schedule": {"name": "constant", "warmup": 0},
        "train": {"steps": steps, "batch_size": ROWS, "keep": 99, "checkpoint_every": {"steps": 1}},
        "eval": {"every": {"steps": 1}}, "runtime": {"threads": 1, "device": "cpu"},
    }, base=model, out=out)  # fmt: skip
    return out


def _by_peft(adapter: Path, model: Path, texts: list[str], steps: int) -> Any:
    """All trained tensors after the steps, by PEFT's names."""
    base = transformers.AutoModelForCausalLM.from_pretrained(model)
    tuned = peft.PeftModel.from_pretrained(base, adapter, is_trainable=True).train()
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    rows = [[*tokenizer(text).input_ids, tokenizer.eos_token_id] for text in texts]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    labels = ids.masked_fill(mask == 0, -100)
    moving = [p for p in tuned.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(moving, RATE)
    for _ in range(steps):
        optimizer.zero_grad()
        tuned(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        optimizer.step()
    return peft.get_peft_model_state_dict(tuned)


def _exported(checkpoint: Path, target: Path) -> Path:
    from ftune.commands.export import export
    from ftune.console import Console
    from ftune.runs.base import load_base

    export(load_base(checkpoint), "peft", target, Console(quiet=True))
    return target


def _training(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    """Every tensor of the adapter after some steps; broken: PEFT takes one step more."""
    from safetensors.torch import load_file
    from support.tiny_hf import SENTENCES, save_models

    lora = {"rank": int(rng.integers(1, 4)), "alpha": float(rng.integers(1, 9)),
            **WAYS[rng.integers(len(WAYS))]}  # fmt: skip
    words = " ".join(SENTENCES).split()
    texts = [" ".join(rng.choice(words, int(rng.integers(2, 8)))) for _ in range(ROWS)]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = save_models(folder)["llama"]
        run = _trained(folder, model, lora, texts, STEPS)
        ends = [_exported(run / f"checkpoints/step-{step:08}", folder / f"adapter-{step}")
                for step in (0, STEPS)]  # fmt: skip
        ours = load_file(ends[1] / "adapter_model.safetensors")
        theirs = _by_peft(ends[0], model, texts, STEPS + broken)
        assert set(ours) == set(theirs)

        def flat(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
            return torch.cat([tensors[name].detach().ravel() for name in sorted(ours)])

        return flat(ours), flat(theirs)


TABLE: Table = {"training": (2e-5, _training)}


@each(TABLE)
@pytest.mark.filterwarnings("ignore")
def test_peft(name: str) -> None:
    agrees(TABLE, name)
