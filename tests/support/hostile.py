"""Every hostile file against every command, and what came of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.hostile_configs import CONFIGS
from support.hostile_files import DATA, IMAGES, WEIGHTS, Maker
from support.hostile_folders import FOLDERS
from support.sandbox import Sandbox, command, watched

FILES: dict[str, Maker] = {**WEIGHTS, **DATA, **IMAGES, **CONFIGS}
NAMES = [*FILES, *FOLDERS]
SOURCES = {"npz": "npz", "npy": "npz", "csv": "csv", "jsonl": "jsonl", "parquet": "parquet",
           "zip": "images", "images": "images"}  # fmt: skip
Words = tuple[object, ...]


@dataclass(frozen=True)
class Harm:
    """What a command did that no file may make it do; `what` is empty where it did nothing."""

    name: str
    words: Words
    what: tuple[str, ...]


def make(name: str, sandbox: Sandbox) -> tuple[Path, Path]:
    """(the hostile path, its canary), in an empty folder."""
    at = sandbox.place / "hostile" / name
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir()
    canary = sandbox.place / f"canary-{name}"
    if name in FILES:
        return FILES[name](at, canary), canary
    return FOLDERS[name](at, canary, sandbox.good), canary


def commands(name: str, path: Path, sandbox: Sandbox) -> Iterator[Words]:
    """Each command with the hostile path in each place that it takes one."""
    run, out = sandbox.good.run, ("--out", "o/x")
    source = SOURCES.get(name.partition("-")[0])
    data = [f"data={{source: {source}, path: '{path}', target: label}}"] if source else []
    trained = "w.yaml" if name.startswith(("hf", "peft", "gguf")) else "c.yaml"
    yield "optimize", path
    yield "optimize", "c.yaml", *(data or [f"data.path={path}"])
    yield "optimize", "w.yaml", f"model={{name: hf, path: '{path}'}}"
    yield "optimize", "chat.yaml", f"model={{name: hf, path: '{path}'}}"
    yield "finetune", trained, "--base", path
    yield "finetune", path, "--base", run
    yield "finetune", "--base", path, "data.path=t.csv"
    yield "finetune", "c.yaml", "--base", run, "--base", path
    yield "lr-find", trained, "--base", path
    yield "lr-find", path
    yield "sweep", "s.yaml", "--base", path
    yield "sweep", path, "--plan"
    yield "resume", path
    yield "rerun", path, *out
    yield "evaluate", path
    yield "evaluate", run, f"data.path={path}"
    yield "predict", path, "--input", "t.csv", "--output", "o/p.csv"
    yield "predict", run, "--input", path, "--output", "o/p.csv"
    yield "predict", path, "--prompt", "the cat"
    yield "export", path, "--format", "pt", *out
    yield "export", path, "--format", "safetensors", *out
    yield "check", path
    yield "check", "c.yaml", f"base={path}"
    yield "runs", path
    yield "compare", path, run


VERBS = ("optimize", "finetune", "lr-find", "sweep", "resume", "rerun", "evaluate", "predict",
         "export", "check", "runs", "compare")  # fmt: skip


def tried(name: str, words: Words, canary: Path, sandbox: Sandbox) -> Harm:
    """Runs one command, and looks at the canary, the files, and what the interpreter saw."""
    before = sandbox.tree()
    with watched([sandbox.place]) as watch:
        answer = command(*words)
    what = list(watch.seen)
    if canary.exists():
        what.append("the canary was left")
        canary.unlink()
    own = str(words[1]) if words[0] == "resume" else "\0"  # the run folder that is continued
    files = changed(before, sandbox.tree())
    what += sorted(f"written: {file}" for file in files if not file.startswith(own))
    if answer.fault or "Traceback" in answer.text or answer.code not in (0, 1, 2):
        what.append(f"exit {answer.code}: {answer.fault[-1500:] or answer.text[-500:]}")
    return Harm(name, words, tuple(what))


def changed(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> set[str]:
    both = {**before, **after}
    return {file for file in both if before.get(file) != after.get(file)}


def fresh(sandbox: Sandbox) -> None:
    """Without what earlier commands wrote where they may."""
    for place in (sandbox.cwd / "runs", sandbox.cwd / "o"):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()


def all_harms(names: list[str], sandbox: Sandbox) -> Iterator[Harm]:
    """One for each command of each file. Whatever a command changes is made anew after it."""
    for name in names:
        path, canary = make(name, sandbox)
        fresh(sandbox)
        for words in commands(name, path, sandbox):
            yield tried(name, words, canary, sandbox)
            if words[0] == "resume" and (path / "run.json").exists():
                path, canary = make(name, sandbox)
