"""Hostile files at the commands that would read them, and no pickle in what commands write.

`./scripts/prove S1` tries every file at every command; here each file meets a part of them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from support.hidden import HIDDEN
from support.hostile import FILES, NAMES, VERBS, commands, fresh, make, tried
from support.hostile_configs import OVERRIDES
from support.plain_files import faults
from support.run_kinds import every_kind
from support.sandbox import Sandbox

LIKELY = {
    "yaml": {"check", "optimize"}, "run": {"resume", "rerun", "evaluate"},
    "sweep": {"resume", "runs"}, "images": {"optimize", "predict"}, "csv": {"optimize"},
    "npz": {"optimize"}, "jsonl": {"optimize"}, "parquet": {"optimize"},
}  # fmt: skip
OTHERS = {"finetune", "export"}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_runs(name: str, sandbox: Sandbox) -> None:
    verbs = LIKELY.get(name.partition("-")[0], OTHERS)

    def try_all() -> None:
        path, canary = make(name, sandbox)
        fresh(sandbox)
        for words in commands(name, path, sandbox):
            if words[0] in verbs:
                assert tried(name, words, canary, sandbox).what == (), words

    sandbox.inside(try_all)


def test_every_command_is_tried_with_every_file(sandbox: Sandbox) -> None:
    for name in ("pt-shell", "hf-code", "yaml-apply", "images-eps"):
        verbs = {words[0] for words in commands(name, Path("x"), sandbox)}
        assert verbs == set(VERBS)
    assert len(NAMES) == len(set(NAMES)) > len(FILES) > 40


@pytest.mark.parametrize("text", OVERRIDES)
def test_overrides_are_text(text: str, sandbox: Sandbox) -> None:
    canary = sandbox.place / "canary-override"
    fresh(sandbox)
    words = ("optimize", "c.yaml", text.replace("CANARY", str(canary)))
    assert sandbox.inside(lambda: tried("override", words, canary, sandbox)).what == ()


@pytest.mark.parametrize("name", ["pt-shell", "pth-exec-nested", "pt-legacy-process", "peft-bin"])
def test_a_loader_that_trusts_is_caught(
    name: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **k: real(*a, **{**k, "weights_only": False}))
    path, canary = make(name, sandbox)
    harm = sandbox.inside(lambda: tried(name, ("evaluate", path), canary, sandbox))
    assert "the canary was left" in harm.what


def test_what_runs_leave_is_plain(sandbox: Sandbox, tmp_path: Path) -> None:
    runs = sandbox.inside(lambda: every_kind(sandbox, sandbox.place / "kinds"))
    assert [why for run in runs.values() for why in faults(run)] == []
    for kind, plant in HIDDEN.items():
        copy = tmp_path / kind.replace(" ", "-")
        shutil.copytree(runs["sweep"], copy)
        plant(copy)
        assert faults(copy), kind
