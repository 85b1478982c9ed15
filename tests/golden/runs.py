"""The golden runs as a user writes them: in the public language alone, which outlives moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

STEPS = 20
TRAIN = {"steps": STEPS, "batch_size": 16, "log_every": 1, "checkpoint_every": {"steps": 1000}}
EVALUATE = {"every": {"steps": 5}}


@dataclass(frozen=True)
class Golden:
    """A training: what it is run by, and the name of the run it starts from.

    tolerance: relative, of losses on another machine than the one that stored them.
    """

    config: dict[str, Any]
    command: str = "optimize"
    base: str | None = None
    tolerance: float = 1e-4


def _run(task: Any, data: dict[str, Any], model: Any, **blocks: Any) -> dict[str, Any]:
    config = {
        "task": task, "data": {"split": {"val": 0.25}, **data}, "model": model,
        "optimizer": {"name": "adamw", "lr": 0.01}, "eval": EVALUATE,
        "runtime": {"threads": 1, "device": "cpu"}, "seed": 3,
    }  # fmt: skip
    train = TRAIN | blocks.pop("train", {})
    return config | {"train": train} | blocks


def _csv(file: str, target: Any, *steps: Any, **more: Any) -> dict[str, Any]:
    return {"source": "csv", "path": file, "target": target, "transforms": list(steps), **more}


TOKENS = {"tokenize": {"max_length": 16}}
PACKED = {"tokenize": {"max_length": 32, "packing": True}}
MLP = {"name": "mlp", "width": 16, "depth": 2, "dropout": 0.1}
BERT, LLAMA = {"name": "hf", "path": "bert"}, {"name": "hf", "path": "llama"}
LORA = {"match": "*_proj", "lora": {"rank": 2, "dropout": 0.1}}
LABEL = _csv("people.csv", "label", {"drop": ["price"]}, "impute", "one_hot", "standardize")
PRICE = _csv(
    "people.csv", "price", {"drop": ["label"]}, "auto", target_transforms=["log", "standardize"]
)
TEXTS = {"source": "csv", "path": "texts.csv", "text": "text", "transforms": [TOKENS]}
CHATS = {"source": "jsonl", "path": "chats.jsonl", "prompt": "{question}", "response": "{answer}",
         "transforms": [TOKENS]}  # fmt: skip
STREAM = {"source": "csv", "path": "texts.csv", "text": "text", "transforms": [PACKED]}
TAGS = {"source": "jsonl", "path": "tagged.jsonl", "text": "words", "target": "tags",
        "transforms": [TOKENS]}  # fmt: skip
IMAGES = {
    "source": "images", "path": "images", "cache": False,
    "transforms": [{"resize": {"size": 12}}, {"random_crop": {"size": 10, "padding": 1}}, "flip",
                   "randaugment", "normalize", "mixup"],
}  # fmt: skip
CNN = {"name": "sequential",
       "layers": [{"conv2d": 8}, "batchnorm", "relu", "globalpool", {"linear": "out"}]}  # fmt: skip
NEWER = _csv("newer.csv", "label", "impute", "one_hot", "standardize")
SWEEP = {
    "scientific": {"model.depth": [1, 2]}, "trials": 8, "halving": {"rungs": 2, "factor": 2},
    "nuisance": {"optimizer.lr": {"low": 1e-3, "high": 0.1, "log": True}},
}  # fmt: skip
UNFROZEN = [
    {"match": "*", "train": False},
    {"match": "*.layer.1.*", "train": True, "from_epoch": 2},
    {"match": "head.*", "train": True},
]

RUNS: dict[str, Golden] = {
    "classification": Golden(_run("classification", LABEL, MLP)),
    "regression": Golden(_run("regression", PRICE, MLP)),
    "multi-label": Golden(
        _run({"name": "classification", "multi_label": True},
             _csv("tags.csv", ["hot", "new"], "standardize"), MLP)
    ),
    "images": Golden(_run("classification", IMAGES, CNN)),
    "texts": Golden(_run("classification", {**TEXTS, "target": "label"}, BERT)),
    "tags": Golden(_run("token-classification", TAGS, BERT)),
    "causal-lm-padded": Golden(_run("causal-lm", CHATS, LLAMA, train={"accumulate": 2})),
    "causal-lm-packed": Golden(_run("causal-lm", STREAM, LLAMA, train={"batch_size": 4})),
    "lora": Golden(_run("causal-lm", TEXTS, LLAMA, adapt=[LORA])),
    "quantized": Golden(
        _run("causal-lm", TEXTS, LLAMA, adapt=[{"match": "*_proj", "quantize": "int8"}, LORA])
    ),
    "ema-plateau-accumulation": Golden(
        _run("regression", PRICE, MLP, schedule={"name": "plateau", "patience": 0, "warmup": 0.1},
             train={"ema": 0.9, "accumulate": 3, "batch_size": 8, "clip_norm": 1.0})
    ),
    "two-optimizers": Golden(
        _run("classification", LABEL, MLP, optimizer={"name": "muon", "lr": 0.02})
    ),
    "bf16": Golden(_run("classification", LABEL, MLP, train={"precision": "bf16"}), tolerance=1e-2),
    "unfreezing": Golden(
        _run("classification", {**TEXTS, "target": "label"}, BERT, adapt=UNFROZEN,
             train={"batch_size": 32})
    ),
    "columns-by-name": Golden(_run("classification", NEWER, MLP), "finetune", "classification"),
    "sweep": Golden(
        _run("classification", LABEL, MLP, train={"checkpoint_every": {"steps": 10}}, sweep=SWEEP),
        "sweep",
    ),
}  # fmt: skip
