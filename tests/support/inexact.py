"""Resumes that cannot give the same bits, and whether that is said in time (promise R3)."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ftune.engine.step import Step
from ftune.errors import RequestError
from ftune.runs import checkpoint
from ftune.runs.folder import RunFolder
from ftune.training.reopen import reopen
from ftune.training.train import train
from support.apart import apart
from support.trainings import EVERYTHING, QUIET, begin, configuration


def write_run(folder: Path) -> Path:
    """A run on a table in `folder`, interrupted at step 7."""
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["a", "b", "label"])
        rows.writerows([i % 7, i / 3, "xyz"[i % 3]] for i in range(90))
    data = {"source": "csv", "path": str(folder / "t.csv"), "target": "label",
            "split": {"val": 12, "test": 12}}  # fmt: skip
    config = configuration(plain=EVERYTHING | {"data": data})
    train(begin(config, folder / "run", pause_at=7))
    return folder / "run"


def _edit(*path: str, value: Any) -> Callable[[Path, pytest.MonkeyPatch], None]:
    """A setting changed by hand in the run's own config.yaml."""

    def change(out: Path, _: pytest.MonkeyPatch) -> None:
        file = out / "config.yaml"
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
        block = config
        for key in path[:-1]:
            block = block[key]
        block[path[-1]] = value
        file.write_text(yaml.safe_dump(config), encoding="utf-8")

    return change


def _saved_on(name: str, value: Any) -> Callable[[Path, pytest.MonkeyPatch], None]:
    """As if the newest checkpoint had been written elsewhere."""

    def change(out: Path, _: pytest.MonkeyPatch) -> None:
        found, _remarks = checkpoint.newest_valid(out / "checkpoints")
        found.meta["exact"][name] = value
        checkpoint.save(out / "checkpoints", found, found.meta["loop"]["step"])

    return change


def _line(number: int, text: str | None) -> Callable[[Path, pytest.MonkeyPatch], None]:
    """A line of the data changed, or gone."""

    def change(out: Path, _: pytest.MonkeyPatch) -> None:
        file = out.parent / "t.csv"
        lines = file.read_text(encoding="utf-8").splitlines()
        lines[number : number + 1] = [] if text is None else [text]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")

    return change


def _another_torch(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("torch.__version__", "2.0.0")


def _another_numpy(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("ftune.training.resume_check._version", lambda _: "1.0")


# What changed, and a part of what must be said of it.
INEXACT: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], None], str]] = {
    "threads": (_edit("runtime", "threads", value=2), "threads: was 1, is 2"),
    "device": (_saved_on("device", "cuda:0"), "device: was cuda:0, is cpu"),
    "dtype": (_edit("train", "precision", value="bf16"), "dtype: was torch.float32, is torch.bf"),
    "torch": (_another_torch, "is 2.0.0"),
    "numpy": (_another_numpy, "numpy: was"),
    "data changed": (_line(5, "3,99,x"), "the data has changed"),
    "rows": (_line(5, None), "rows: was 66, is 65"),
    "length": (_edit("train", "epochs", value=6), "total: was"),
    "learning rate": (_edit("optimizer", "lr", value=0.5), "optimizer.lr: was 0.02, is 0.5"),
    "micro-batches": (_edit("train", "accumulate", value=1), "train.accumulate: was 2, is 1"),
    "rule": (_edit("adapt", value=[]), "adapt: was"),
    "seed": (_edit("seed", value=4), "seed: was 3, is 4"),
    "guard added": (_edit("train", "spike_guard", value=5), "spike_guard.threshold: was None"),
    "block removed": (_edit("train", "early_stop", value=None), "early_stop.patience: was 50, is"),
    "schedule": (_edit("schedule", value={"name": "cosine"}), "schedule.name: was plateau, is cos"),
    "algorithms": (_edit("runtime", "deterministic", value=False), "runtime.deterministic: was"),
}  # fmt: skip

# What changes no number of the training must not be complained of.
EXACT = {
    "checkpoints": _edit("train", "checkpoint_every", value={"steps": 3}),
    "kept": _edit("train", "keep", value=5),
    "log": _edit("train", "log_every", value=1),
    "folder": _edit("output", value={"folder": "elsewhere"}),
}


def named(name: str, folder: Path, patch: pytest.MonkeyPatch) -> str:
    """What is wrong with the answer to one of `INEXACT`; nothing, where it is as promised.

    In a child: another number of threads is one of the whole process.
    """
    return apart(lambda: _named(name, folder, patch))


def _named(name: str, folder: Path, patch: pytest.MonkeyPatch) -> str:
    change, said = INEXACT[name]
    out = write_run(folder)
    change(out, patch)
    before = _content(out)
    patch.setattr(Step, "__call__", _no_step)
    try:
        reopen(RunFolder(out), QUIET)
        return "continued without a word"
    except RequestError as error:
        text = str(error)
    if said not in text or "--allow-inexact" not in text:
        return f"said: {text}"
    if _content(out) != before:
        return "the run folder was touched"
    return "" if reopen(RunFolder(out), QUIET, allow_inexact=True).state.step == 7 else "allowed"


def complained(name: str, folder: Path, patch: pytest.MonkeyPatch) -> str:
    """What was said of one of `EXACT`; nothing, as it must be."""
    out = write_run(folder)
    EXACT[name](out, patch)
    try:
        reopen(RunFolder(out), QUIET)
    except RequestError as error:
        return str(error)
    return ""


def _no_step(*_: object) -> None:
    raise AssertionError("a step was made before anything was said")


def _content(out: Path) -> dict[str, str]:
    files = [file for file in sorted(out.rglob("*")) if file.is_file()]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
