"""What the fuzz run found, each as a case of its own; and a short run of it."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bombs import npy, packed, read
from support.bombs_of_weights import load, lora, rehash
from support.bounded import ending, warm
from support.broken import targets
from support.fuzz import hunt
from support.planted import PLANTED
from support.trainings import QUIET, begin, configuration

from ftune.commands.resume import resume
from ftune.data.pipeline import restore
from ftune.errors import CheckpointError, DataError
from ftune.runs.folder import RunFolder
from ftune.runs.model_card import ModelCard
from ftune.runs.run_record import Summary
from ftune.training.train import train

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
    with pytest.raises(CheckpointError, match=r"state\.json: damaged: its `axes\.a\.0` is 3"):
        ModelCard.parse({"axes": {"a": [3]}}, "state.json")
    best: object
    for best in (3, "x", {}, {"step": 1, "metric": "r2", "value": None}, []):
        with pytest.raises(CheckpointError, match=r"summary\.json: damaged: .*`best"):
            Summary.parse({"best": best}, "summary.json")


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


HISTOGRAM = (  # a Parquet file of 863 bytes; Arrow ends the process where it tells of its columns
    "c-oay!EVz)5S?{h*9}Cth+VwM2MeXvg4~b<r2-U0#vzo7T5TdB;21@b;Q$RO5DFJg2qC_J6IXiR8@RxM"
    "6Q_y;pTL1HK+M{XsRSH4(%Tu&v**2$)?3)GbCZ8G_y@MZ6^G*h?-)RXf%)@F`53epZLrHWID``fm*5e6"
    "!f8T<5D*mMEFmOR2{l5!Y*!j>NaK8)1F!N%NFolmxaGO_jG0yNLV)^5cWH^vleY~z6`No1U*YSE>iws;"
    "&ud>60m#13D;t!wd8d_s1uV~`EBL8{x-+Iw0ImCXH`P6&GF`T?w^!n(Y&F5Pc7}IH_XperURn-a_LNL4"
    "8!p=gp`<6n06bojO|TqEBsYW-Z%pya2=-ZEA8v6O>czOB*KjDc&R8-4MXVMvXCk|)$X6!5vEcJu@N({O"
    "YyMwFe4iI8u*JR!(sPeuzrT6wQntSPgPqf{njl3Fv$%mc#VEmRhzWL53Zn=y)<p+#J#GBSn3YjnJjc&y"
    "=mjdeoo?Ek>a&YQ=rU^N^J1+-udEmJP0aj6J<YEn4)JO}ycp7pQ@?9?(0X28PqcrUcSq+e61)tqKORgT"
    "J{~<<8IH#*gUMuj>OUDxcJ6II@EfbuTD2}i55Uvch3?E2{aU{PoFjxi"
)


def test_a_parquet_footer_that_ends_the_process(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(zlib.decompress(base64.b85decode(HISTOGRAM)))
    assert ending(lambda: read(tmp_path / "a.parquet"))[0] == "refused"


def put(state: dict[str, Any], keys: tuple[str, ...], value: object) -> None:
    for key in keys[:-1]:
        state = state[key]
    state[keys[-1]] = value


@pytest.mark.parametrize(
    ("keys", "value"),
    [(("loop", "step"), "3"), (("loop", "split"), 0.5), (("loop", "looked"), None),
     (("pipeline", "features", "shape"), [3])],
)  # fmt: skip
def test_a_state_of_another_form(keys: tuple[str, ...], value: object, tmp_path: Path) -> None:
    """Its hash agrees: whoever changed it has changed the manifest too."""
    run = begin(configuration(), tmp_path / "run", pause_at=2)
    train(run)
    found = next((tmp_path / "run" / "checkpoints").glob("step-00000002"))
    state = json.loads((found / "state.json").read_text())
    put(state, keys, value)
    (found / "state.json").write_text(json.dumps(state))
    rehash(found)
    with pytest.raises(CheckpointError, match="damaged"):
        resume(RunFolder(tmp_path / "run"), False, QUIET)
