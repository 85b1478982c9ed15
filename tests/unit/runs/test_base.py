"""`--base` from every place a model may lie in, and from none that could run code."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from support.trainings import configuration, undisturbed
from torch import Tensor, nn

from ftune.errors import CheckpointError
from ftune.runs import checkpoint
from ftune.runs.base import ARRAYS, CARD, Base, load_base


def weights() -> dict[str, Tensor]:
    return {"layer1.weight": torch.arange(6.0).reshape(2, 3), "layer1.bias": torch.zeros(2)}


def same(base: Base, wanted: dict[str, Tensor]) -> bool:
    return base.tensors.keys() == wanted.keys() and all(
        torch.equal(base.tensors[k], wanted[k]) for k in wanted
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("base") / "run"
    undisturbed(configuration("train.epochs=1"), out)
    return out


NESTED: dict[str, Any] = {
    "bare": lambda w: w,
    "model": lambda w: {"model": w, "epoch": 3},
    "state_dict": lambda w: {"state_dict": w, "optimizer": {"lr": torch.ones(1)}},
    "model_state_dict": lambda w: {"model_state_dict": w, "loss": 0.3},
    "twice": lambda w: {"state_dict": {"model": w}},
    "four times": lambda w: {"module": {"state_dict": {"net": {"model": w}}}},
    "module": lambda w: {"module": w},
}


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
@pytest.mark.parametrize("kind", NESTED)
def test_torch_files(kind: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"m{suffix}"
    torch.save(NESTED[kind](weights()), path)
    assert same(load_base(path), weights())


def test_plain_safetensors(tmp_path: Path) -> None:
    save_file(weights(), tmp_path / "m.safetensors")
    found = load_base(tmp_path / "m.safetensors")
    assert same(found, weights()) and found.meta == {}


def test_run_folder_and_checkpoint_folder_agree(run: Path) -> None:
    best = json.loads((run / "checkpoints" / "best.json").read_text())["checkpoint"]
    assert same(load_base(run / "checkpoints" / best), dict(load_base(run).tensors))


def test_average_is_what_is_used(run: Path) -> None:
    best = json.loads((run / "checkpoints" / "best.json").read_text())["checkpoint"]
    found = checkpoint.load(run / "checkpoints" / best)
    name = "last.weight"
    assert torch.equal(load_base(run).tensors[name], found.training[f"ema/{name}"])
    assert not torch.equal(found.model[name], found.training[f"ema/{name}"])


class Canary:
    """A pickle that runs a command when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return subprocess.check_call, (["touch", str(self.path)],)


def hostile(form: str, folder: Path) -> tuple[Path, Path]:
    canary, path = folder / "canary", folder / "evil.pt"
    content: Any = {"state_dict": {"a": torch.ones(1), "b": Canary(canary)}}
    if form == "zip":
        torch.save(content, path)
    elif form == "legacy":
        torch.save(content, path, _use_new_zipfile_serialization=False)
    else:
        path.write_bytes(pickle.dumps(content))
    return path, canary


@pytest.mark.parametrize("form", ["zip", "legacy", "plain pickle"])
def test_code_in_a_file_never_runs(form: str, tmp_path: Path) -> None:
    path, canary = hostile(form, tmp_path)
    with pytest.raises(CheckpointError, match=r"check_call|not a torch file|could run code"):
        load_base(path)
    assert not canary.exists()


def test_control_plain_torch_load_would_run_it(tmp_path: Path) -> None:
    path, canary = hostile("zip", tmp_path)
    torch.load(path, weights_only=False)
    assert canary.exists()


def test_a_whole_module_is_refused_with_advice(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=r"torch.save\(model.state_dict\(\), path\)"):
        load_base(tmp_path / "m.pt")


def test_torchscript_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "m.pt"))  # type: ignore[no-untyped-call]
    with pytest.raises(CheckpointError):
        load_base(tmp_path / "m.pt")


BAD: dict[str, tuple[str, Any, str]] = {
    "text": ("m.pt", b"hello, this is no model\n", "not"),
    "empty": ("m.pt", b"", "not a torch file"),
    "half a zip": ("m.pt", b"PK\x03\x04" + b"\0" * 40, "not a torch file"),
    "a list": ("m.pt", [torch.ones(1)], "holds a list"),
    "no tensors": ("m.pt", {"epoch": 3, "lr": 0.1}, "no tensors; keys: epoch, lr"),
    "bad story": ("m.pt", {"w": torch.ones(1), CARD: "{", ARRAYS: {}}, "no JSON"),
    "not safetensors": ("m.safetensors", b"\xff" * 100, "not a safetensors file"),
    "another suffix": ("m.h5", b"", "expected a run folder"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_base(kind: str, tmp_path: Path) -> None:
    name, content, words = BAD[kind]
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(CheckpointError, match=words):
        load_base(path)


def test_missing_and_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        load_base(tmp_path / "nowhere.pt")
    with pytest.raises(CheckpointError, match="neither a run folder, a checkpoint"):
        load_base(tmp_path)
    (tmp_path / "trials").mkdir()
    with pytest.raises(CheckpointError, match="a sweep; name one of its trials"):
        load_base(tmp_path)


def test_damaged_best_falls_back(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    best = json.loads((copy / "checkpoints" / "best.json").read_text())["checkpoint"]
    latest = json.loads((copy / "checkpoints" / "latest.json").read_text())["checkpoint"]
    if best == latest:
        pytest.skip("best and latest are one checkpoint here")
    (copy / "checkpoints" / best / "model.safetensors").write_bytes(b"")
    assert load_base(copy).meta["loop"]["step"] == int(latest[5:])
