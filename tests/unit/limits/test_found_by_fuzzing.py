"""What the fuzz run found, each as a case of its own; and a short run of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.bombs import npy, packed, read
from support.bombs_of_weights import load, lora
from support.bounded import ending, warm
from support.broken import targets
from support.fuzz import hunt
from support.planted import PLANTED

from ftune.commands.runs import _best
from ftune.data.pipeline import restore
from ftune.errors import CheckpointError, DataError
from ftune.weights import axes_of

NPZ = {
    "a header that ends early": packed(("y.npy", npy("{'descr': '<f8', 'shape': ("))),
    "a header of no Python": packed(("y.npy", npy("{'descr': '<f8'"))),
    "a flipped byte of deflate": b"",
}


@pytest.mark.parametrize("name", NPZ)
def test_a_broken_archive(name: str, tmp_path: Path) -> None:
    raw = bytearray(NPZ[name])
    if not raw:
        np.savez_compressed(tmp_path / "a.npz", y=np.arange(500.0))
        raw = bytearray((tmp_path / "a.npz").read_bytes())
        raw[60:90] = bytes(30)
    (tmp_path / "a.npz").write_bytes(raw)
    with pytest.raises(DataError, match="not a readable npz file"):
        read(tmp_path / "a.npz")


def test_code_points_that_no_text_has(tmp_path: Path) -> None:
    header = "{'descr': '<U1', 'fortran_order': False, 'shape': (2,), }"
    content = np.array([2**31 - 1, 65], np.uint32).tobytes()
    (tmp_path / "a.npz").write_bytes(packed(("y.npy", npy(header, content))))
    with pytest.raises(DataError, match="not a readable npz file"):
        read(tmp_path / "a.npz")


@pytest.mark.parametrize("pattern", [3, 0.5, True, ["a"], {"a": 1}, "x"])
def test_patterns_of_another_kind(pattern: object, tmp_path: Path) -> None:
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "rank_pattern": pattern}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    (tmp_path / "adapter_model.safetensors").write_bytes(lora())
    assert ending(lambda: load(tmp_path))[0] in ("refused", "done")


def test_stored_state_of_another_form() -> None:
    for stored in ({"kind": 3}, {"version": 1, "target": 3}, {"version": 1, "columns": "a"}):
        with pytest.raises(CheckpointError, match="the data pipeline in a checkpoint: damaged"):
            restore(stored, {})
    with pytest.raises(CheckpointError, match="the axes in a checkpoint: damaged"):
        axes_of({"a": [3]})
    best: object
    for best in (3, "x", {"value": "x"}, {"value": None}, []):
        assert _best({"best": best}) == ""


@pytest.mark.parametrize("name", ["config", "table", "weights", "peft"])
def test_a_short_hunt_finds_nothing(name: str, tmp_path: Path) -> None:
    warm()
    found = hunt(name, targets(tmp_path / "whole")[name], tmp_path / "cases", 1.5)
    assert found.refused
    assert found.findings == {}


def test_a_planted_fault_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("support.broken.read", PLANTED["careless"])
    found = hunt("table", targets(tmp_path / "whole")["table"], tmp_path / "cases", 1.5)
    assert any("KeyError" in what for what in found.findings)


LINES = {
    "nothing but null": (b"null\n", "not a JSON object"),
    "null after rows": (b'{"y": 1}\nnull\n', "not a JSON object"),
    "deep over lines": (b'{"a":\n' * 100_000 + b"1" + b"}\n" * 100_000, "line 101: nested deeper"),
}


@pytest.mark.parametrize("name", LINES)
def test_lines_that_would_end_the_process(name: str, tmp_path: Path) -> None:
    content, words = LINES[name]
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=words):
        read(tmp_path / "a.jsonl")


def test_an_object_over_several_lines_and_brackets_in_texts(tmp_path: Path) -> None:
    rows = b'{"y":\n "yes", "x": 1}\n' * 200 + b'{"y": "[[[{{", "x": 2}\n' * 200
    (tmp_path / "a.jsonl").write_bytes(rows)
    read(tmp_path / "a.jsonl")
