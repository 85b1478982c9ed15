"""Hugging Face's Trainer on the rows that ftune trains on."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from _ratios import Result
from _texts import IGNORED, figures, imported


def by_trainer(
    spec: Result,
    load: Callable[[], Any],
    same_order: bool,
    threads: Callable[[Any], int] | None = None,
    **arguments: Any,
) -> Result:
    """Hugging Face's Trainer without evaluation, saving and progress bar.

    same_order: ftune's batches, of similar length as group_by_length makes them; else its own:
    random. threads: finds the best number for the model. Other arguments are TrainingArguments'.
    """
    before = imported()
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Record(TrainerCallback):
        losses: list[float]

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.losses, self.began = [], time.perf_counter()

        def on_log(self, *_: Any, **told: Any) -> None:
            self.losses += [told["logs"]["loss"]] if "loss" in told["logs"] else []

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.seconds = time.perf_counter() - self.began

    class Ordered(Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return spec["order"]

    model, tokens = load(), 0

    def collate(rows: Sequence[Result]) -> dict[str, torch.Tensor]:
        nonlocal tokens
        tokens += sum(len(row["input_ids"]) for row in rows)
        return padded(rows)

    if threads:
        torch.set_num_threads(threads(model))
    record = Record()
    settings = {
        "max_steps": spec["steps"], "per_device_train_batch_size": spec["batch"],
        "max_grad_norm": 1.0, "weight_decay": 0.0, "report_to": [], "save_strategy": "no",
        "logging_steps": 1, "disable_tqdm": True, "use_cpu": spec.get("device") != "cuda",
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        asked = TrainingArguments(folder, **settings, **spec["rate"], **arguments)
        kind = Ordered if same_order else Trainer
        trainer = kind(
            model, asked, train_dataset=spec["rows"], data_collator=collate, callbacks=[record]
        )
        trainer.train()
    result = figures({**spec, "tokens": tokens}, record.seconds, record.losses, before)
    return result | ({"accuracy": accuracy(model, spec["test"])} if spec.get("test") else {})


def padded(rows: Sequence[Result]) -> dict[str, torch.Tensor]:
    """A batch as HF's collators make it: padded on the right to its longest row."""
    longest = max(len(row["input_ids"]) for row in rows)

    def filled(name: str, value: int) -> torch.Tensor:
        return torch.tensor([row[name] + [value] * (longest - len(row[name])) for row in rows])

    masks = [{"mask": [1] * len(row["input_ids"])} for row in rows]
    mask = torch.tensor([m["mask"] + [0] * (longest - len(m["mask"])) for m in masks])
    whole = isinstance(rows[0]["labels"], list)
    labels = filled("labels", IGNORED) if whole else torch.tensor([row["labels"] for row in rows])
    return {"input_ids": filled("input_ids", 0), "attention_mask": mask, "labels": labels}


@torch.no_grad()
def accuracy(model: Any, rows: Sequence[Result]) -> float:
    """The share of rows whose class the model gives."""
    model.eval()
    device, right = next(model.parameters()).device, 0
    rows = sorted(rows, key=lambda row: len(row["input_ids"]))
    for at in range(0, len(rows), 64):
        batch = {k: v.to(device) for k, v in padded(rows[at : at + 64]).items()}
        right += int((model(**batch).logits.argmax(1) == batch["labels"]).sum())
    return right / len(rows)
