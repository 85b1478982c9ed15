"""How much memory there is, and honest files that pass."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch

from ftune.errors import CheckpointError, DataError
from ftune.security.limits import documents, memory
from ftune.security.limits.gguf import gguf_file
from ftune.security.limits.modules import TooLargeError, weighed
from ftune.security.limits.tensors import loaded, safetensors_file, torch_file


def test_the_least_of_machine_container_and_process_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "_of_machine", lambda: 8 * 10**9)
    monkeypatch.setattr(memory, "_of_containers", lambda: [3 * 10**9])
    monkeypatch.setattr(memory, "_of_process", lambda: None)
    assert memory.available() == 3 * 10**9
    monkeypatch.setattr(memory, "_of_process", lambda: 10**9)
    assert memory.available() == 10**9
    memory.check("x.csv", 10**9)
    with pytest.raises(DataError, match=r"x.csv would take 1.1 GB of memory, 1.0 GB are"):
        memory.check("x.csv", 11 * 10**8, "cut it")


def test_a_limit_of_the_process_is_seen() -> None:
    assert memory._of_machine()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    assert (memory._of_process() is None) == (soft == resource.RLIM_INFINITY)
    assert hard


@pytest.mark.parametrize(
    ("text", "levels"),
    [("1", 0), ("[]", 1), ('{"a": [1, {"b": []}]}', 4), ('["[[[[", "\\"[[["]', 1),
     ('["[[[[', 1), ('"\\', 0)],
)  # fmt: skip
def test_levels_are_those_outside_of_texts(text: str, levels: int) -> None:
    assert documents.levels(text.encode()) == levels


def test_damaged_json_may_be_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="damaged: no JSON") as raised:
        documents.read(tmp_path / "a.json")
    assert isinstance(raised.value, CheckpointError)


def test_honest_files_pass(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    whole = torch.randn(100, 100)
    tensors = {"a": whole, "b": torch.zeros(0), "c": torch.tensor(1.0)}
    save_file(tensors, tmp_path / "a.safetensors", {"note": "x" * 1000})
    safetensors_file(tmp_path / "a.safetensors")
    tied = {"model": {**tensors, "tied": whole, "view": whole[:50], "t": whole.T}, "epoch": 3}
    for old in (True, False):
        torch.save(tied, tmp_path / "a.pt", _use_new_zipfile_serialization=not old)
        torch_file(tmp_path / "a.pt")
        loaded(tmp_path / "a.pt", torch.load(tmp_path / "a.pt", weights_only=True))


def test_an_honest_gguf_passes(tmp_path: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_block_count(2)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "ü"])
    writer.add_array("tokenizer.ggml.scores", [1.0, 2.0])
    writer.add_tensor("w", torch.zeros(4, 8).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    gguf_file(tmp_path / "a.gguf")
    raw = (tmp_path / "a.gguf").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(raw[:60])
    with pytest.raises(CheckpointError, match="damaged"):
        gguf_file(tmp_path / "cut.gguf")


def test_a_model_that_fits_is_made_as_ever() -> None:
    torch.manual_seed(0)
    plain = torch.nn.LSTM(4, 5).state_dict()
    torch.manual_seed(0)
    with weighed("model"):
        same = torch.nn.LSTM(4, 5).state_dict()
    assert all(torch.equal(plain[name], same[name]) for name in plain)
    with pytest.raises(TooLargeError, match=r"would take more than 4.0 TB .*\[1000000, 10"), \
            weighed("model"):  # fmt: skip
        torch.nn.Linear(10**6, 10**6)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), weighed("model"):
        torch.zeros(2, 3) @ torch.zeros(2, 3)
