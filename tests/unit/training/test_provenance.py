"""What run.json says a run depends on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.trainings import QUIET, configuration, undisturbed

from ftune.commands.request import Request
from ftune.commands.train import optimize
from ftune.extend import load_code
from ftune.runs.base import load_base
from ftune.runs.files import read_json, sha256
from ftune.training.provenance import base_fingerprint, determinism

PACKAGES = {"python", "ftune", "torch", "numpy", "safetensors", "pyarrow", "optuna", "scikit-learn",
            "omegaconf", "platform", "git"}  # fmt: skip


def test_the_facts_of_a_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    apart: None,  # noqa: ARG001
) -> None:
    code = tmp_path / "own.py"
    code.write_text("import ftune\n@ftune.loss('own')\ndef own(outputs, y): return outputs[:, 0]\n")
    load_code(code)
    monkeypatch.setattr(sys, "argv", ["ftune", "optimize", "c.yaml", "data.password=abcdef"])
    undisturbed(configuration(), tmp_path / "run")
    facts = read_json(tmp_path / "run" / "run.json")
    assert set(facts["versions"]) >= PACKAGES
    assert facts["versions"]["safetensors"] and facts["versions"]["transformers"]
    assert facts["command_line"] == ["ftune", "optimize", "c.yaml", "data.password=***"]
    assert facts["code"] == [{"file": str(code), "sha256": sha256(code)}]
    assert (facts["seed"], facts["threads"], facts["device"]) == (3, 1, "cpu")
    assert facts["precision"] == "fp32" and facts["base_sha256"] is None
    assert facts["determinism"]["deterministic"] and facts["determinism"]["cpu"]


def test_determinism_is_what_torch_says() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    assert determinism()["matmul_precision"] == "medium"
    torch.set_float32_matmul_precision(before)
    assert json.dumps(determinism())


def test_a_base_is_known_by_its_content(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(4.0), "b": torch.zeros(2)}
    for name in ("one", "two"):
        save_file(tensors, tmp_path / f"{name}.safetensors")
    one, two = (str(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert base_fingerprint(one) == base_fingerprint(two) != base_fingerprint([one, two])
    save_file(tensors | {"b": torch.ones(2)}, two)
    assert base_fingerprint(one) != base_fingerprint(two)
    assert base_fingerprint(None) is None


def test_a_run_and_a_folder_as_base(tmp_path: Path) -> None:
    undisturbed(configuration(), tmp_path / "run")
    base = load_base(tmp_path / "run")
    optimize(Request(configuration("train.steps=2"), "", tmp_path / "fine", QUIET, base))
    facts = read_json(tmp_path / "fine" / "run.json")
    assert facts["base_sha256"] == base_fingerprint(str(tmp_path / "run"))
    folder = tmp_path / "hf"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    first = base_fingerprint(str(folder))
    (folder / "tokenizer.json").write_text("{}")
    assert first != base_fingerprint(str(folder))
