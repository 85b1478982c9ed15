"""Plan: predicted against measured peak memory and time of an epoch, on twelve configurations."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _figures import CONFIGS, data, say
from real_models import _minilm, _smollm

# Prediction and training are processes of their own, one after the other. Measured is VmHWM less
# VmHWM after the imports, and the seconds inside the steps of an epoch.

MEMORY, TIME = 0.10, 0.20
BANKING = ["data.limit=640", "train.epochs=2"]
GRU = [
    "model.layers=[{embedding: 64}, {gru: 256, output: all}, {linear: out}]",
    "train.batch_size=64",
]
WIDE = ["model.width=2048", "model.depth=3", "model.dropout=0", "train.epochs=1"]

Case = tuple[str, list[str], str]
"""Configuration, changes, and what it starts from."""
CASES: dict[str, Case] = {
    "digits-cnn": ("digits.yaml", ["train.epochs=8"], ""),
    "adult-mlp": ("adult.yaml", ["train.epochs=3"], ""),
    "adult-wide": ("adult.yaml", [*WIDE, "data.limit=8000"], ""),
    "adult-wide-sgd": ("adult.yaml", [*WIDE, "data.limit=8000", "optimizer.name=sgd"], ""),
    "housing-mlp": ("housing.yaml", ["train.epochs=3"], ""),
    "cifar-cnn": ("cifar10.yaml", ["data.limit=1000", "train.epochs=2"], ""),
    "shakespeare": ("shakespeare.yaml", ["train.steps=300", "eval.every={steps: 100}"], ""),
    "shakespeare-gru": ("shakespeare.yaml", [*GRU, "train.steps=60", "eval.every={steps: 20}"], ""),
    "minilm-full": ("banking77.yaml", BANKING, "minilm"),
    "minilm-lora": ("banking77-lora.yaml", BANKING, "minilm"),
    "minilm-head": (
        "banking77.yaml",
        [*BANKING, "adapt=[{match: '*', train: false}, {match: 'head.*', train: true}]"],
        "minilm",
    ),
    "smollm2-lora": (
        "gsm8k.yaml",
        ["data.limit=24", "data.split={val: 6}", "train.batch_size=4", "train.epochs=1",
         "data.transforms=[{tokenize: {max_length: 160}}]"],
        "smollm2",
    ),
}  # fmt: skip
FILES = {
    "adult.yaml": "adult.csv", "housing.yaml": "housing.csv", "cifar10.yaml": "cifar10",
    "shakespeare.yaml": "tinyshakespeare.txt",
}  # fmt: skip


def child(kind: str, name: str, out: Path) -> dict[str, Any]:
    """Predict or train one case in this process."""
    import torch

    from ftune.commands import plan
    from ftune.commands.base_config import optional_base
    from ftune.commands.request import Request
    from ftune.commands.train import optimize
    from ftune.console import Console
    from ftune.runtime import usage
    from ftune.schema.root import LANGUAGE

    config, changes, base = CASES[name]
    if base:
        import transformers.modeling_utils  # noqa: F401 - counts as an import
    where = [f"data.path={data(FILES[config])}"] if config in FILES else []
    if config.startswith(("banking", "gsm")):
        folder, form = (data("banking77"), "csv") if base == "minilm" else (data("gsm8k"), "jsonl")
        where = [f"data.path={{train: {folder}/train.{form}}}", "data.split.test=0"]
    bases = {"minilm": _minilm() if base == "minilm" else "", "smollm2": str(_smollm())}
    imported = usage.peak(torch.device("cpu")) or 0
    settings = LANGUAGE.load(CONFIGS / config, [*where, *changes])
    start = optional_base([bases[base]], settings) if base else None
    console = Console(quiet=True)
    if kind == "plan":
        vars(plan)["_alternatives"] = lambda _: iter(())  # their time is not looked at
        summary = plan.plan(settings, start, console)
        speed, memory = summary["time"], summary["memory"]
        return {"memory": memory["peak"], "epoch": speed["step"] * speed["steps_per_epoch"]}
    summary = optimize(Request(settings, name, out, console, start))
    beyond = (usage.peak(torch.device("cpu")) or 0) - imported
    return {"memory": beyond, "epoch": summary["train_seconds"] / summary["epochs"]}


def apart(kind: str, name: str, out: Path) -> dict[str, Any]:
    words = [sys.executable, __file__, name, "--child", kind, "--out", str(out)]
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.stderr[-2000:])
    answer: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return answer


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench plan", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--child", choices=("plan", "run"))
    parser.add_argument("--out", type=Path, default=Path())
    options = parser.parse_args(words)
    if options.child:
        say(json.dumps(child(options.child, options.cases[0], options.out)))
        return 0
    say(f"{'case':<18} {'predicted':>9} {'measured':>9} {'ratio':>6}   {'predicted':>9} "
        f"{'measured':>9} {'ratio':>6}   (MB; seconds of an epoch)")  # fmt: skip
    passed = [_compared(name) for name in options.cases or CASES]
    return 0 if all(passed) else 1


def _compared(name: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        plan = apart("plan", name, Path(folder) / "none")
        run = apart("run", name, Path(folder) / "run")
    memory, time = plan["memory"] / run["memory"], plan["epoch"] / run["epoch"]
    fine = bool(abs(memory - 1) <= MEMORY and abs(time - 1) <= TIME)
    megabytes = f"{plan['memory'] / 1e6:>9.0f} {run['memory'] / 1e6:>9.0f} {memory:>6.2f}"
    seconds = f"{plan['epoch']:>9.3g} {run['epoch']:>9.3g} {time:>6.2f}"
    say(f"{name:<18} {megabytes}   {seconds}{'' if fine else '  MISSED'}")
    return fine


if __name__ == "__main__":
    raise SystemExit(main())
