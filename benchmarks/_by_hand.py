"""What transformers and PEFT compute, written by hand: a LoRA training on questions and answers.

Nothing of ftune is used but the order of the rows and the first values of the adapter: its
tokenizer, chat template, masks, schedule and loss are made here again.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from _figures import CONFIGS, run
from torch import Tensor
from torch.nn import functional as F

import ftune
from ftune.adapt.peft_write import write_peft
from ftune.assembly.build import build, read_data
from ftune.assembly.parts import Parts
from ftune.commands.base_config import with_base
from ftune.runs.adapters import load_bases
from ftune.runs.folder import read_metrics
from ftune.schema.root import LANGUAGE, RunConfig

Row = tuple[list[int], int]  # ids, and how many of them are asked

PROMPTS = ("Ann has 3 apples and buys 4 more. How many has she?", "What is 12 times 12?")


def transformers_model(gguf: Path) -> tuple[Any, Any]:
    """Model and tokenizer as transformers reads them from the file, in 32 bits."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
        return model, AutoTokenizer.from_pretrained(**where)


def first_loss(found: Path) -> float:
    """The validation loss before the first step: the base's, since a fresh LoRA adds 0."""
    lines = read_metrics(found / "metrics.jsonl")
    return next(
        float(line["loss"]) for line in lines if line["split"] == "val" and line["step"] == 0
    )


def difference_of_curves(
    config: str, changes: Sequence[str], gguf: Path, rows: Path, out: Path
) -> list[float]:
    """The difference of the training losses, step by step, of ftune and the loop below."""
    summary = run("finetune", config, 0, out / "short", changes, base=str(gguf))
    lines = read_metrics(Path(summary["run"]) / "metrics.jsonl")
    ours = [line["loss"] for line in lines if line["split"] == "train" and line["step"] > 0]
    read = LANGUAGE.load(CONFIGS / config, [*changes, "seed=0"])
    base = load_bases(str(gguf))
    read = with_base(read, base)
    parts = build(read, read_data(read), base)
    write_peft(out / "first", parts.model, strip="lm.", task_type="CAUSAL_LM")
    theirs = _losses(read, parts, gguf, rows / "train.jsonl", out / "first")
    return [abs(a - b) for a, b in zip(ours[: len(theirs)], theirs, strict=True)]


def _losses(config: RunConfig, parts: Parts, gguf: Path, file: Path, adapter: Path) -> list[float]:
    """The loop: one batch, one step, a cosine with warm-up, clipping."""
    from peft import PeftModel

    model, tokenizer = transformers_model(gguf)
    model = PeftModel.from_pretrained(model, adapter, is_trainable=True).train()
    rate, train = config.optimizer.lr, config.train
    moving = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(moving, rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    numbers, found = parts.dataset.train.rows.tolist(), list[float]()
    for step in range(parts.total):
        (batch,) = parts.batches.indices(step)
        asked = [_row(tokenizer, lines[numbers[i] - 1]) for i in batch.tolist()]
        warmup = round(0.05 * parts.total)
        progress = (step - warmup) / (parts.total - warmup)
        factor = (step + 1) / (warmup + 1)
        if step >= warmup:
            factor = 0.5 * (1 + math.cos(math.pi * progress))
        optimizer.param_groups[0]["lr"] = rate * factor
        optimizer.zero_grad()
        loss = _loss(model, asked)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(moving, train.clip_norm or math.inf)
        optimizer.step()
        found.append(loss.item())
    return found


def _row(tokenizer: Any, line: dict[str, str]) -> Row:
    """The ids of question and answer, up to the end of the answer's turn."""
    user = {"role": "user", "content": line["question"]}
    prompt = tokenizer.apply_chat_template([user], add_generation_prompt=True, tokenize=False)
    text = f"{prompt}{line['answer']}<|im_end|>"
    asked = len(tokenizer(prompt, add_special_tokens=False).input_ids)
    return tokenizer(text, add_special_tokens=False).input_ids, asked


def _loss(model: Any, rows: Sequence[Row]) -> Tensor:
    """Cross-entropy, mean over the tokens of all answers of the batch."""
    longest = max(len(ids) for ids, _ in rows)
    x = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in rows])
    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows])
    labels = torch.tensor([[-100] * n + ids[n:] + [-100] * (longest - len(ids)) for ids, n in rows])
    logits = model(input_ids=x, attention_mask=mask).logits[:, :-1]
    return F.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())


@torch.no_grad()
def logits_of_adapter(found: Path, folder: Path, gguf: Path, out: Path) -> tuple[float, float]:
    """The largest differences of logits: our adapter in PEFT; one that PEFT trained, here."""
    from peft import PeftModel

    base, tokenizer = transformers_model(gguf)
    theirs: Any
    x = tokenizer([PROMPTS[0]], return_tensors="pt").input_ids
    plain = base(input_ids=x).logits
    ours = ftune.load(found).built.module
    theirs = PeftModel.from_pretrained(base, folder, is_trainable=True)
    assert (ours(x) - plain).abs().max() > 0.1, "the control: without its adapter it is another"
    there = float((ours(x) - theirs.eval()(input_ids=x).logits).abs().max())
    _trained_on(theirs, x)
    theirs.save_pretrained(str(out / "theirs"))
    config = LANGUAGE.load(CONFIGS / "gsm8k.yaml", _no_rules(found))
    both = load_bases([str(gguf), str(out / "theirs")])
    config = with_base(config, both)
    parts = build(config, read_data(config), both)
    back = float((parts.model.eval()(x) - theirs.eval()(input_ids=x).logits).abs().max())
    return there, back


@torch.enable_grad()
def _trained_on(model: Any, x: Tensor) -> None:
    """Some steps of PEFT's own, so that the adapter is another one."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        model(input_ids=x, labels=x).loss.backward()
        optimizer.step()


def _no_rules(found: Path) -> list[str]:
    """The run's own data, few of them, and no adapter but the one that the base brings."""
    data = LANGUAGE.load(found / "config.yaml").data
    paths = ", ".join(f"{part}: {path}" for part, path in data.source.path.items())
    few = ["data.limit=8", "data.split={val: 8, test: 0}", "~adapt"]
    return [f"data.path={{{paths}}}", *few]


def same_words(found: Path, folder: Path, questions: Path) -> float:
    """The share of prompts that transformers continues as `ftune predict` does, greedily."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ftune.predictor import Sampling

    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    first = questions.read_text(encoding="utf-8").splitlines()[:3]
    prompts = [*PROMPTS, *(json.loads(line)["question"] for line in first)]
    ours = ftune.load(found).generate(prompts, Sampling(max_tokens=60))
    same: list[bool] = []
    for prompt, words in zip(prompts, ours, strict=True):
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt",
            return_dict=True,
        )  # fmt: skip
        told = model.generate(**asked, max_new_tokens=60, do_sample=False)
        rest = told[0, asked["input_ids"].shape[1] :]
        same.append(tokenizer.decode(rest, skip_special_tokens=True) == words)
    return sum(same) / len(same)
