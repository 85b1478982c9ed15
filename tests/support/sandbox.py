"""A place where commands run in a fork, watched for what they run and where they write."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from typer.testing import CliRunner

from ftune.cli import app
from support.apart import apart
from support.hostile_folders import Good
from support.tiny_hf import save_models

Result = TypeVar("Result")
TABLE = "\n".join(["a,b,label", *(f"{i % 7},{i % 3},{'xy'[i % 2]}" for i in range(40))])
CONFIG = """\
task: classification
data: {source: csv, path: t.csv, target: label, split: {val: 10}}
model: {name: mlp, width: 4, depth: 1}
optimizer: {name: adamw, lr: 1e-2}
train: {steps: 2, batch_size: 8}
lr_find: {refine: 3}
runtime: {threads: 1, device: cpu}
"""
SWEEP = CONFIG + "sweep: {nuisance: {optimizer.lr: [0.01, 0.02]}}\n"
TEXT = """\
task: classification
data: {source: csv, path: words.csv, text: text, target: label, split: {val: 10}}
train: {steps: 1, batch_size: 8}
runtime: {threads: 1, device: cpu}
"""
CHAT = """\
task: causal-lm
data: {source: jsonl, path: chat.jsonl, messages: messages, split: {val: 4}}
train: {steps: 1, batch_size: 4}
runtime: {threads: 1, device: cpu}
"""
RUNS = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.fork",
        "pickle.find_class", "socket.connect")  # fmt: skip


@dataclass
class Watch:
    """What was run or written meanwhile, told by the interpreter itself.

    Always allowed: git, for the commit of a run's record, and matplotlib's list of fonts.
    """

    inside: tuple[str, ...]
    seen: list[str] = field(default_factory=list)

    def __call__(self, event: str, given: tuple[object, ...]) -> None:
        if event in RUNS and given[0] not in ("git", "fc-list"):
            self.seen.append(f"{event} {given!r:.120}")
        if event == "open" and _writes(given) and not self._allowed(given[0]):
            self.seen.append(f"writes {given[0]!r:.160}")

    def _allowed(self, place: object) -> bool:
        return os.path.realpath(os.fsdecode(place)).startswith(self.inside)  # type: ignore[arg-type]


def _writes(given: tuple[object, ...]) -> bool:
    place, mode, flags = given
    if not isinstance(place, str | bytes | os.PathLike):
        return False
    wanted = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    return bool(int(str(flags or 0)) & wanted) or any(c in str(mode or "") for c in "wax+")


_watches: list[Watch] = []
_hooked = False


def _hook(event: str, given: tuple[object, ...]) -> None:
    for watch in _watches:
        watch(event, given)


@contextmanager
def watched(inside: Sequence[Path]) -> Iterator[Watch]:
    """Takes down what runs, and what is written outside `inside`."""
    global _hooked
    if not _hooked:  # a hook cannot be taken off again: this one looks at nothing by itself
        sys.addaudithook(_hook)
        _hooked = True
    watch = Watch(tuple(str(place.resolve()) for place in [*inside, Path(os.devnull)]))
    _watches.append(watch)
    try:
        yield watch
    finally:
        _watches.remove(watch)


@dataclass(frozen=True)
class Answer:
    code: int
    text: str
    fault: str
    """The traceback of what was not an answer; empty for an answer."""


def command(*words: object) -> Answer:
    """The command line, in this process: what it prints, and how it ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a user would see as lines on stderr
        done = CliRunner().invoke(app, [str(word) for word in words])
    error = done.exception
    wild = error is not None and not isinstance(error, SystemExit)
    fault = "".join(traceback.format_exception(error)) if wild and error else ""
    return Answer(done.exit_code, done.output, fault)


@dataclass(frozen=True)
class Sandbox:
    """`cwd` with a table, texts and configurations; `home`; `tmp`; and what was trained before."""

    place: Path
    good: Good

    @property
    def cwd(self) -> Path:
        return self.place / "cwd"

    @property
    def allowed(self) -> list[Path]:
        """Where commands may write: their runs, the output that was named, the cache."""
        return [self.cwd / "runs", self.cwd / "o", self.place / "home" / ".cache",
                self.place / "tmp"]  # fmt: skip

    def inside(self, work: Callable[[], Result]) -> Result:
        """What `work` returns in a fork of this process that has moved here."""
        return _inside(self.place, work)

    def tree(self) -> dict[str, tuple[int, int]]:
        """Every file outside those, with size and time."""
        skipped = tuple(str(place) for place in self.allowed)
        found = {}
        for folder, _, names in os.walk(self.place):
            for name in names:
                path = os.path.join(folder, name)  # noqa: PTH118
                if not path.startswith(skipped):
                    state = os.lstat(path)
                    found[path] = (state.st_size, state.st_mtime_ns)
        return found


def prepare(place: Path) -> Sandbox:
    """Trains what the hostile copies are made of."""
    for name in ("cwd", "home", "tmp", "hostile"):
        (place / name).mkdir(parents=True)
    cwd = place / "cwd"
    (cwd / "t.csv").write_text(TABLE)
    words = [f"the cat {i % 7} sat,{'xy'[i % 2]}" for i in range(40)]
    (cwd / "words.csv").write_text("\n".join(["text,label", *words]))
    turns = [{"role": "user", "content": "the cat"}, {"role": "assistant", "content": "sat"}]
    (cwd / "chat.jsonl").write_text("\n".join([json.dumps({"messages": turns})] * 20))
    for name, text in (("c", CONFIG), ("s", SWEEP), ("w", TEXT), ("chat", CHAT)):
        (cwd / f"{name}.yaml").write_text(text)
    return Sandbox(place, _inside(place, lambda: _trained(place)))


def _trained(place: Path) -> Good:
    models = save_models(place / "models")
    good = Good(place / "run", place / "sweep", place / "good.safetensors", models["bert"])
    for words_ in (
        ("optimize", "c.yaml", "--out", good.run),
        ("sweep", "s.yaml", "--out", good.sweep),
        ("export", good.run, "--format", "safetensors", "--out", good.exported),
    ):
        answer = command(*words_, "--quiet")
        assert answer.code == 0, answer
    return good


def _inside(place: Path, work: Callable[[], Result]) -> Result:
    def settled() -> Result:
        with pytest.MonkeyPatch.context() as patch:
            _settle(place, patch)
            return work()

    platform.processor()  # a program that Python runs once: here, not in each child
    return apart(settled, place / "cwd")


def _settle(place: Path, patch: pytest.MonkeyPatch) -> None:
    """The user's home is in the sandbox, and the hub is not there."""
    from huggingface_hub import constants

    for name, value in (("HOME", "home"), ("XDG_CACHE_HOME", "home/.cache"), ("TMPDIR", "tmp")):
        patch.setenv(name, str(place / value))
    patch.setattr(tempfile, "tempdir", str(place / "tmp"))
    patch.setattr(constants, "HF_HUB_OFFLINE", True)
    patch.setattr(sys, "dont_write_bytecode", True)
