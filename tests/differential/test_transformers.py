"""Language models and encoders of transformers: tokens, masks, losses and outputs."""

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
WORDS = ("the", "cat", "sat", "on", "a", "mat", "dog", "ran", "far", "away", "bird", "flew")


def _sentences(rng: np.random.Generator, count: int) -> list[str]:
    return [" ".join(rng.choice(WORDS, int(rng.integers(2, 9)))) for _ in range(count)]


def _run(
    folder: Path, columns: dict[str, list[str]], data: dict[str, Any], model: Path, task: str
) -> dict[str, Any]:
    """A training of one step at rate 1e-12: the model stays what it was."""
    rows = zip(*columns.values(), strict=True)
    text = "\n".join([",".join(columns), *(",".join(row) for row in rows)]) + "\n"
    (folder / "t.csv").write_text(text)
    file = str(folder / "t.csv")
    config = {
        "task": task, "seed": 1,
        "data": {"source": "csv", "path": {"train": file, "val": file}, "cache": False, **data},
        "model": {"name": "hf", "path": str(model)}, "optimizer": {"name": "sgd", "lr": 1e-12},
        "train": {"steps": 1, "batch_size": 4}, "runtime": {"threads": 1, "device": "cpu"},
    }  # fmt: skip
    return ftune.run("finetune", config, base=model, out=folder / "run")


def _perplexity(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    """Mean over all tokens of a set, not over its texts (broken), as transformers' labels do it."""
    from support.tiny_hf import save_models

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path = save_models(folder)[str(rng.choice(["llama", "gpt2"]))]
        texts = _sentences(rng, 9)
        summary = _run(folder, {"text": texts}, {"text": "text"}, path, "causal-lm")
        model = transformers.AutoModelForCausalLM.from_pretrained(path).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        losses, counts = [], []
        for text in texts:
            ids = torch.tensor([[*tokenizer(text).input_ids, tokenizer.eos_token_id]])
            with torch.no_grad():
                losses.append(model(input_ids=ids, labels=ids).loss.item())
            counts.append(ids.shape[1] - 1)
        mean = np.average(losses, weights=None if broken else counts)
        found = summary["metrics"]["val"]
        return [found["loss"], found["perplexity"], found["tokens"]], [
            mean,
            np.exp(mean),
            sum(counts),
        ]


def _answers(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    """Prompts masked: only the response and its end count."""
    from support.tiny_hf import save_models

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path = save_models(folder)["llama"]
        asked, said = _sentences(rng, 6), _sentences(rng, 6)
        data = {"prompt": "{q} ", "response": "{a}"}
        summary = _run(folder, {"q": asked, "a": said}, data, path, "causal-lm")
        model = transformers.AutoModelForCausalLM.from_pretrained(path).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        total, count = 0.0, 0
        for question, answer in zip(asked, said, strict=True):
            prompt, response = tokenizer(f"{question} ").input_ids, tokenizer(answer).input_ids
            ids = torch.tensor([[*prompt, *response, tokenizer.eos_token_id]])
            labels = ids.clone()
            if not broken:
                labels[0, : len(prompt)] = -100
            with torch.no_grad():
                loss = model(input_ids=ids, labels=labels).loss.item()
            weight = int((labels[0, 1:] != -100).sum())
            total, count = total + loss * weight, count + weight
        return summary["metrics"]["val"]["loss"], total / count


def _encoder(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    """Probabilities of a classifier on BERT: mean of its states over real tokens, then the head."""
    from safetensors.torch import load_file
    from support.tiny_hf import save_models

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path = save_models(folder)["bert"]
        texts = _sentences(rng, 8)
        columns = {"text": texts, "y": list("uvuvuvuv")}
        _run(folder, columns, {"text": "text", "target": "y"}, path, "classification")
        found = ftune.load(folder / "run").predict(folder / "t.csv")
        weights = load_file(
            next((folder / "run/checkpoints").glob("step-00000001")) / "model.safetensors"
        )
        head = [next(t for n, t in weights.items() if n.startswith("head") and n.endswith(kind))
                for kind in ("weight", "bias")]  # fmt: skip
        encoder = transformers.AutoModel.from_pretrained(path).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        with torch.no_grad():
            states = encoder(batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
            mask = torch.ones_like(batch.attention_mask) if broken else batch.attention_mask
            mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            shares = torch.nn.functional.linear(mean, *head).softmax(1)
        return np.stack([found["probability/u"], found["probability/v"]], axis=1), shares


def _grouped(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    """Rows of similar length share a batch: no more padding than transformers' group_by_length."""
    from transformers.trainer_pt_utils import get_length_grouped_indices

    from ftune.data.batches import Batches

    lengths = rng.integers(3, 60, 400)
    group: Any = get_length_grouped_indices
    theirs = group(lengths.tolist(), 8, generator=torch.Generator().manual_seed(0))
    ours = Batches(
        400, 8, seed=int(rng.integers(99)), lengths=None if broken else torch.from_numpy(lengths)
    )

    def padding(batches: list[Any]) -> float:
        wide = sum(int(lengths[rows].max()) * len(rows) for rows in batches)
        return float(wide / lengths.sum() - 1)

    most = padding(np.split(np.array(theirs), 50))
    waste = padding(
        [rows.numpy() for step in range(ours.steps_per_epoch) for rows in ours.indices(step)]
    )
    return max(0.0, waste - 1.5 * most), 0.0


TABLE: Table = {
    "perplexity": (1e-5, _perplexity),
    "answers": (1e-5, _answers),
    "encoder": (1e-5, _encoder),
    "grouped": (1e-3, _grouped),
}


@each(TABLE)
@pytest.mark.filterwarnings("ignore")
def test_transformers(name: str) -> None:
    agrees(TABLE, name)
