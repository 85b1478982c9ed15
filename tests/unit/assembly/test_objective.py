"""The logits of a language model come in chunks: the training is that of the whole."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
from golden.inputs import write_inputs
from golden.runs import RUNS

import ftune
from ftune.models import chunked
from ftune.models.chunked import chunked_sum
from ftune.runs.folder import read_metrics

pytest.importorskip("transformers")


def losses(
    name: str, chunk_bytes: int, folder: Path, patch: pytest.MonkeyPatch, **train: object
) -> list[float]:
    """Return the losses of the steps of a small language model."""
    if not any(folder.iterdir()):
        write_inputs(folder)
    config = copy.deepcopy(RUNS[name].config)
    for block in ("data", "model"):
        config[block]["path"] = str(folder / config[block]["path"])
    config["train"] |= train
    run = folder / f"run-{chunk_bytes}"
    with patch.context() as here:
        here.setattr(chunked, "CHUNK_BYTES", chunk_bytes)
        ftune.run("optimize", config, out=str(run))
    rows = read_metrics(run / "metrics.jsonl")
    return [row["loss"] for row in rows if row["split"] == "train"]


@pytest.mark.parametrize("name", ["causal-lm-padded", "causal-lm-packed", "lora"])
def test_chunks_train_as_the_whole(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert losses(name, 4000, tmp_path, monkeypatch) == pytest.approx(
        losses(name, 2**27, tmp_path, monkeypatch), rel=1e-5
    )


def test_a_lost_chunk_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without the first chunk of each batch the losses are others."""
    whole = losses("causal-lm-padded", 2**27, tmp_path, monkeypatch)

    def without_first(states: Any, head: Any, sum_of: Any, rows: int) -> Any:
        return chunked_sum(states, head, lambda o, at: sum_of(o, at) * (at.start > 0), rows)

    monkeypatch.setattr("ftune.objectives.chunked_sum", without_first)
    assert losses("causal-lm-padded", 4000, tmp_path, monkeypatch) != pytest.approx(whole, rel=1e-3)


def test_fp16_takes_all_logits_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients that are taken before the loss is scaled would underflow."""

    def refuse(*_: object) -> None:
        raise AssertionError("chunked in fp16")

    monkeypatch.setattr("ftune.objectives.chunked_sum", refuse)
    assert all(map(math.isfinite, losses("lora", 4000, tmp_path, monkeypatch, precision="fp16")))
    with pytest.raises(AssertionError, match="chunked in fp16"):
        losses("lora", 4001, tmp_path, monkeypatch)
