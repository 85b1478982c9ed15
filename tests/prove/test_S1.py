"""S1: no file that ftune reads can run code, or write outside the run folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.hostile import NAMES, all_harms, commands, fresh, make, tried
from support.hostile_configs import OVERRIDES
from support.hostile_files import WEIGHTS
from support.ledger import SHARE, Ledger
from support.sandbox import Sandbox

FEWEST = 40


def test_every_file_at_every_entry(sandbox: Sandbox, ledger: Ledger) -> None:
    names = NAMES[:: max(1, round(1 / SHARE))]
    assert len(NAMES) >= FEWEST
    harms = sandbox.inside(lambda: list(all_harms(names, sandbox)))
    bad = [harm for harm in harms if harm.what]
    shown = "".join(f"\n{harm.name} {harm.words}: {harm.what}" for harm in bad)
    ledger.counted("S1", len(harms), len(bad), f"{len(names)} files × entry points{shown}")


def test_overrides(sandbox: Sandbox, ledger: Ledger) -> None:
    canary = sandbox.place / "canary-override"
    fresh(sandbox)
    tries = [("check", "c.yaml"), ("optimize", "c.yaml"), ("evaluate", sandbox.good.run)]
    words = [(*one, text.replace("CANARY", str(canary))) for one in tries for text in OVERRIDES]
    harms = sandbox.inside(lambda: [tried("override", one, canary, sandbox) for one in words])
    bad = [harm for harm in harms if harm.what]
    ledger.counted("S1", len(words), len(bad), f"overrides{bad or ''}")


def harmed(names: list[str], verb: str, sandbox: Sandbox) -> list[str]:
    """The files that do harm with a command, as they should where a guard is gone."""

    def does(name: str) -> bool:
        path, canary = make(name, sandbox)
        fresh(sandbox)
        asked = [words for words in commands(name, path, sandbox) if words[0] == verb]
        return any(tried(name, words, canary, sandbox).what for words in asked)

    return sandbox.inside(lambda: [name for name in names if does(name)])


def test_control_torch_load(sandbox: Sandbox, ledger: Ledger) -> None:
    """The same look at a loader that trusts what it loads."""
    names = [name for name in WEIGHTS if name.startswith(("pt-", "pth-", "bin-", "ckpt-"))]
    real = torch.load
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "load", lambda *a, **k: real(*a, **{**k, "weights_only": False}))
        found = harmed(names, "evaluate", sandbox)
    caught = len(found) >= len(names) - 4  # TorchScript, the tar and the like run nothing here
    ledger.control("S1", caught, f"torch.load(weights_only=False): {len(found)} canaries")


def test_control_postscript(sandbox: Sandbox, ledger: Ledger) -> None:
    from ftune.data.images import read

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "FORMATS", None)
        found = harmed(["images-eps"], "optimize", sandbox)
    ledger.control("S1", bool(found), "every format that Pillow knows")


def test_control_places(sandbox: Sandbox, ledger: Ledger) -> None:
    from ftune.runs import base

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "_placeless", dict)
        found = harmed(["story-places"], "finetune", sandbox)
    ledger.control("S1", bool(found), "a base's configuration chooses where to write")


def test_control_remote_code(sandbox: Sandbox, ledger: Ledger) -> None:
    from transformers import dynamic_module_utils

    from ftune.models import hf_files
    from ftune.security.remote_code import Opened

    def trusting(folder: str | Path) -> Opened:
        return Opened(str(folder), "0" * 64)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(sandbox.place / "tmp" / "m"))
        patch.setattr(hf_files, "opened", trusting)
        found = harmed(["hf-code", "hf-code-known-type"], "optimize", sandbox)
    ledger.control("S1", len(found) == 2, "trust_remote_code=True")
