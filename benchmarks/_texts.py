"""A training on texts by ftune and by Hugging Face's Trainer: the same rows, in the same order."""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from _process import AbsentError, peak_bytes
from _ratios import Result

IGNORED = -100


def package(name: str, pattern: str) -> Path:
    """A file or folder of an installed package of weights."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise AbsentError(f"{name} is not installed (tests/models.txt)")
    return next(Path(spec.origin).parent.glob(pattern))


def imported() -> int:
    """Import what either side needs; return the peak of memory after it."""
    import peft
    import transformers
    from transformers import Trainer
    from transformers.models.bert import modeling_bert
    from transformers.models.llama import modeling_llama

    import ftune
    from ftune import library

    del peft, transformers, Trainer, modeling_bert, modeling_llama, ftune, library
    return peak_bytes()


def rows_of(config: Mapping[str, Any], base: str, steps: int, adapter: Path | None) -> Result:
    """The rows that ftune trains on as HF reads them, the rows of each step, and their tokens.

    adapter: where the fresh adapter is written, so that both sides begin with the same one.
    """
    from ftune.adapt.peft_write import write_peft
    from ftune.assembly.build import build, read_data
    from ftune.commands.base_config import with_base
    from ftune.runs.adapters import load_bases
    from ftune.schema.root import LANGUAGE

    start = load_bases(base)
    read = with_base(LANGUAGE.of(config, []), start)
    parts = build(read, read_data(read), start)
    train = parts.dataset.train
    if adapter:
        write_peft(adapter, parts.model, strip="lm.", task_type="CAUSAL_LM")
    order = [torch.cat(parts.batches.indices(step)).tolist() for step in range(steps)]
    rows = [_row(train.batch(torch.tensor([index]))) for index in range(len(train))]
    tokens = sum(len(rows[index]["input_ids"]) for step in order for index in step)
    return {
        "rows": rows,
        "order": [index for step in order for index in step],
        "tokens": tokens,
        "total": parts.total,
        "parameters": sum(parts.sizes.values()),
    }


def _row(batch: Mapping[str, torch.Tensor]) -> Result:
    """One row; a language model's targets stand at their token, as HF wants them."""
    ids, y = batch["x"][0].tolist(), batch["y"][0].tolist()
    labels = [IGNORED, *y[:-1]] if isinstance(y, list) else y
    return {"input_ids": ids, "labels": labels}


def by_ftune(spec: Result, *changes: str, **blocks: Any) -> Result:
    """The command, with evaluation, checkpoints and metrics on; `blocks` replace the config's."""
    before = imported()
    import ftune
    from ftune.runs.folder import read_metrics

    with tempfile.TemporaryDirectory() as folder:
        config = {**spec["config"], **blocks}
        out = Path(folder) / "run"
        summary = ftune.run("finetune", config, changes, base=spec["base"], out=out)
        lines = read_metrics(out / "metrics.jsonl")
    losses = [line["loss"] for line in lines if line["split"] == "train" and line["step"]]
    scores = summary["metrics"].get("test", {})
    accuracy = {"accuracy": scores["accuracy"]} if "accuracy" in scores else {}
    return figures(spec, summary["train_seconds"], losses, before) | accuracy


def figures(spec: Result, seconds: float, losses: Sequence[float], before: int) -> Result:
    """The figures that every side has; the loss is the mean of the last quarter of the steps."""
    peak = peak_bytes() - before
    if spec.get("device") == "cuda":
        peak = torch.cuda.max_memory_allocated()
    return {
        "tokens_per_second": spec["tokens"] / seconds,
        "peak_bytes": peak,
        "loss": statistics.fmean(losses[-max(1, len(losses) // 4) :]),
        "losses": list(losses),
    }


def curves_apart(one: Sequence[float], other: Sequence[float]) -> float:
    """The largest difference of two loss curves, relative to the second."""
    return max(abs(a - b) / abs(b) for a, b in zip(one, other, strict=True))
