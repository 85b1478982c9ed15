"""The logits of a language model come in chunks: the training is that of the whole."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from golden.inputs import write_inputs
from golden.runs import RUNS

import ftune
from ftune.assembly import objective
from ftune.models.chunked import chunked_sum
from ftune.runs.folder import read_metrics

pytest.importorskip("transformers")


def losses(
    name: str, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch, **train: object
) -> list[float]:
    """Return the losses of the steps of a small language model."""
    config = RUNS[name].config
    with monkeypatch.context() as patch:
        patch.setattr(objective, "CHUNK_BYTES", chunk_bytes)
        ftune.run("optimize", config | {"train": config["train"] | train}, out=f"run-{chunk_bytes}")
    rows = read_metrics(Path(f"run-{chunk_bytes}") / "metrics.jsonl")
    return [row["loss"] for row in rows if row["split"] == "train"]


@pytest.fixture(autouse=True)
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)


@pytest.mark.parametrize("name", ["causal-lm-padded", "causal-lm-packed", "lora"])
def test_chunks_train_as_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert losses(name, 4000, monkeypatch) == pytest.approx(
        losses(name, 2**27, monkeypatch), rel=1e-5
    )


def test_a_lost_chunk_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without the first chunk of each batch the losses are others."""
    whole = losses("causal-lm-padded", 2**27, monkeypatch)

    def without_first(states: Any, head: Any, sum_of: Any, rows: int) -> Any:
        return chunked_sum(states, head, lambda o, at: sum_of(o, at) * (at.start > 0), rows)

    monkeypatch.setattr("ftune.objectives.chunked_sum", without_first)
    assert losses("causal-lm-padded", 4000, monkeypatch) != pytest.approx(whole, rel=1e-3)


def test_fp16_takes_all_logits_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients that are taken before the loss is scaled would underflow."""

    def refuse(*_: object) -> None:
        raise AssertionError("chunked in fp16")

    monkeypatch.setattr("ftune.objectives.chunked_sum", refuse)
    assert all(map(math.isfinite, losses("lora", 4000, monkeypatch, precision="fp16")))
    with pytest.raises(AssertionError, match="chunked in fp16"):
        losses("lora", 4001, monkeypatch)
