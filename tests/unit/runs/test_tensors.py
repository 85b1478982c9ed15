"""Our safetensors files are the library's, byte for byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save

from ftune.runs.tensors import _TYPES, write_tensors


def every_kind() -> dict[str, torch.Tensor]:
    found = {}
    for number, kind in enumerate(_TYPES):
        name = f"t{(7 * number) % 16}.{kind}"
        found[name] = (torch.arange(6) % 2).reshape(2, 3).to(kind)
    return found | {
        "scalar": torch.tensor(3.5), "nothing": torch.zeros(0, 4), "größe": torch.ones(2),
        "turned": torch.arange(12.0).reshape(3, 4).t(), "part": torch.arange(9.0)[2:5],
    }  # fmt: skip


def test_the_same_bytes(tmp_path: Path) -> None:
    tensors = every_kind()
    digest = write_tensors(tmp_path / "a", tensors)
    content = (tmp_path / "a").read_bytes()
    assert content == save({name: t.contiguous() for name, t in tensors.items()})
    assert digest == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("tensors", [{}, {"shared": torch.ones(3)}])
def test_the_library_reads_them(tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    tied = {**tensors, **{f"{k}.tied": t for k, t in tensors.items()}}
    write_tensors(tmp_path / "a", tied)
    found = load_file(tmp_path / "a")
    assert set(found) == set(tied) and all(torch.equal(t, tied[k]) for k, t in found.items())


def test_larger_than_a_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftune.runs.tensors.PIECE", 7)
    tensors = {"a": torch.randn(10), "b": torch.randn(3).to(torch.bfloat16)}
    write_tensors(tmp_path / "a", tensors)
    assert (tmp_path / "a").read_bytes() == save(tensors)
