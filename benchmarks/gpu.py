"""One CUDA GPU in eight minutes: LoRA, full fine-tuning and a small MLP, beside HF Trainer."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _peers
import engine
import full
import lora
import numpy as np
import torch
from _measure import DATA, Bench, main
from _process import AbsentError
from _ratios import Result, Table
from _results import slug
from _texts import by_ftune

# The trainings of bench lora, full and engine. Rivals run as fast as their settings allow: bf16,
# fused AdamW, SDPA, pinned copies (the Trainer's defaults on CUDA); *-best get batches of similar
# length, *-liger Liger's kernels where they are installed. Memory is what torch allocated at most.
# `--device cpu --dry` runs the whole script without a GPU, to see that nothing in it is broken.

FUSED = {"bf16": True, "optim": "adamw_torch_fused"}
NF4 = [{"match": "*_proj", "quantize": "nf4"}, *lora.LORA]
COMPILED = "train.compile=on"


def prepare(options: Result) -> Result:
    """Those of lora, full and engine; raises AbsentError without a CUDA device."""
    if options["device"] == "cuda" and not torch.cuda.is_available():
        raise AbsentError("no CUDA device here; run it where torch.cuda.is_available()")
    steps, more = options["steps"], {"device": options["device"]}
    spec: Result = {}
    for name, each in (("lora", lora), ("full", full)):
        folder = Path(options["folder"]) / name
        folder.mkdir()
        asked = {**options, "folder": str(folder), "accuracy": 0, "epochs": 1}
        spec[name] = each.prepare(asked) | more
    csv = engine.synthetic_table(Path(options["folder"]) / "adult.csv")
    table = engine.prepare(csv, Path(options["folder"]) / "data.npz")
    return spec | {"engine": {"csv": str(csv), "data": str(table), "steps": 10 * steps, **more}}


def mlp_by_hand(spec: Result) -> Result:
    """The loop by hand with all tensors on the GPU, warmed up."""
    torch.set_default_device(spec["device"])
    arrays = np.load(spec["data"])
    x, y = (torch.from_numpy(arrays[name]).to(spec["device"]) for name in "xy")
    _peers.by_hand(x, y, 50)
    _wait(spec)
    began = time.perf_counter()
    _peers.by_hand(x, y, spec["steps"])
    _wait(spec)
    return {"steps_per_second": spec["steps"] / (time.perf_counter() - began)}


def _wait(spec: Result) -> None:
    if spec["device"] == "cuda":
        torch.cuda.synchronize()


def mlp_by_ftune(spec: Result, *changes: str) -> Result:
    import ftune

    config = engine.configuration(Path(spec["csv"]), spec["steps"])
    config["runtime"] = {"device": spec["device"]}
    with tempfile.TemporaryDirectory() as folder:
        summary = ftune.run("optimize", config, changes, out=Path(folder) / "run")
    return {"steps_per_second": summary["steps"] / summary["train_seconds"]}


def liger(side: Callable[[Result], Result]) -> Callable[[Result], Result]:
    def run(spec: Result) -> Result:
        if importlib.util.find_spec("liger_kernel") is None:
            raise AbsentError("liger-kernel is not installed")
        return side(spec)

    return run


def part(name: str, side: Callable[[Result], Result]) -> Callable[[Result], Result]:
    """The side with the specification of its own benchmark."""
    return lambda spec: side(spec[name])


def peft(same_order: bool, **arguments: Any) -> Callable[[Result], Result]:
    return lambda spec: lora.by_peft(spec, torch.bfloat16, same_order, **FUSED, **arguments)


def machine() -> str:
    return slug(torch.cuda.get_device_name()) if torch.cuda.is_available() else "cpu"


LORA = {
    "lora-hf": peft(False),
    "lora-hf-best": peft(True),
    "lora-hf-liger": liger(peft(True, use_liger_kernel=True)),
    "lora-ftune": lambda spec: by_ftune(spec, lora.BF16, adapt=lora.STORED),
    "lora-ftune-compiled": lambda spec: by_ftune(spec, lora.BF16, COMPILED, adapt=lora.STORED),
    "lora-ftune-nf4": lambda spec: by_ftune(spec, lora.BF16, adapt=NF4),
}
FULL = {
    "full-hf": lambda spec: full.by_hf(spec, False, True),
    "full-ftune": lambda spec: by_ftune(spec, lora.BF16),
}
MLP = {
    "mlp-by-hand": mlp_by_hand,
    "mlp-ftune": mlp_by_ftune,
    "mlp-ftune-compiled": lambda spec: mlp_by_ftune(spec, COMPILED),
}
PARTS = {"lora": LORA, "full": FULL, "engine": MLP}
BENCH = Bench(
    script=__file__,
    about=__doc__ or "",
    prepare=prepare,
    sides={side: part(name, run) for name, sides in PARTS.items() for side, run in sides.items()},
    tables=[
        Table("LoRA", list(LORA), ["lora-hf", "lora-hf-best"], "tokens_per_second"),
        Table("full", list(FULL), ["full-hf"], "tokens_per_second"),
        Table("MLP", list(MLP), ["mlp-by-hand"], "steps_per_second"),
    ],
    options={
        "steps": (60, "steps of LoRA and of full, ten times as many of the MLP"),
        "device": ("cuda", "cpu: to try the script"),
        "data": (DATA, "the folder of data sets"),
    },
    rounds=2,
    seconds=400,
    machine=machine,
)

if __name__ == "__main__":
    sys.exit(main(BENCH))
