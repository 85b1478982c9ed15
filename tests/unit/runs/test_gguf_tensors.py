"""Tensors of GGUF files against transformers; frozen weights refer to such a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ftune.errors import CheckpointError
from ftune.runs import frozen, references
from ftune.runs.files import sha256
from ftune.runs.frozen import FrozenStorage, digest_of
from ftune.runs.gguf_tensors import HALVES, GgufTensors
from ftune.runs.references import WHOLE

gguf = pytest.importorskip("gguf")
HEADS, GROUPS, WIDTH = 4, 2, 64


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A quantised layer of Llama, its query and key in the order of llama.cpp."""
    path = tmp_path / "layer.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(GROUPS)
    rng = np.random.default_rng(0)
    for name, rows in (("attn_q", WIDTH), ("attn_k", WIDTH // 2), ("ffn_up", 96)):
        weight = rng.normal(size=(rows, WIDTH)).astype(np.float32)
        kind = gguf.GGMLQuantizationType.Q8_0
        packed = gguf.quants.quantize(weight, kind)
        writer.add_tensor(f"blk.0.{name}.weight", packed, raw_dtype=kind)
    writer.add_tensor("output_norm.weight", rng.normal(size=WIDTH).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def of_transformers(tensors: GgufTensors, name: str, heads: int) -> torch.Tensor:
    module = pytest.importorskip("transformers.modeling_gguf_pytorch_utils")
    processor = module.LlamaTensorProcessor()
    ordered = processor._reverse_permute_weights(tensors[name].numpy(), heads, heads)
    return torch.from_numpy(np.ascontiguousarray(ordered))


def test_query_and_key_come_in_both_orders(file: Path) -> None:
    tensors = GgufTensors(file)
    for name, heads in (("attn_q", HEADS), ("attn_k", GROUPS)):
        name = f"blk.0.{name}.weight"
        expected = of_transformers(tensors, name, heads)
        assert torch.equal(tensors[name + HALVES], expected)
        assert not torch.equal(tensors[name], expected)
    assert sorted(tensors) == sorted(
        ["blk.0.attn_q.weight", "blk.0.attn_q.weight/halves", "blk.0.attn_k.weight",
         "blk.0.attn_k.weight/halves", "blk.0.ffn_up.weight", "output_norm.weight"]
    )  # fmt: skip
    assert len(tensors) == 6
    with pytest.raises(KeyError):
        tensors["blk.1.ffn_up.weight"]


def stored(file: Path, folder: Path) -> dict[str, torch.Tensor]:
    """The frozen tensors of a run that came from the file, under a model's own names."""
    folder.mkdir()
    tensors = GgufTensors(file)
    up = tensors["blk.0.ffn_up.weight"]
    own = {"q": tensors["blk.0.attn_q.weight/halves"], "up": up, "tied": up}
    said = frozen.store(folder, own, FrozenStorage(sources=(file,)))
    assert set(said) == {"references"}
    return own


def test_a_run_refers_to_the_file(file: Path, tmp_path: Path) -> None:
    own = stored(file, tmp_path / "run")
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["frozen.json"]
    record = references.read(tmp_path / "run", sha256(tmp_path / "run/frozen.json"))
    again = record.tensors_in(tmp_path / "run", WHOLE)
    assert {n: digest_of(t) for n, t in again.items()} == {n: digest_of(t) for n, t in own.items()}
    assert again["up"].data_ptr() == again["tied"].data_ptr()


def test_other_numbers_from_the_same_file_are_refused(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version of gguf might compute other weights from the same bytes."""
    stored(file, tmp_path / "run")
    folder = tmp_path / "run"
    record = references.read(folder, sha256(folder / "frozen.json"))
    dequantize = gguf.quants.dequantize

    def rounded(data: Any, kind: Any) -> Any:
        return dequantize(data, kind).astype(np.float16).astype(np.float32)

    monkeypatch.setattr(gguf.quants, "dequantize", rounded)
    with pytest.raises(CheckpointError, match="the installed gguf reads other weights"):
        record.tensors_in(folder, WHOLE)


def test_a_tensor_that_the_file_lacks_is_stored(file: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    frozen.store(tmp_path / "run", {"new": torch.ones(3)}, FrozenStorage(sources=(file,)))
    facts = json.loads((tmp_path / "run/frozen.json").read_text())
    assert [entry["beside"] for entry in facts["files"]] == ["frozen.safetensors"]
