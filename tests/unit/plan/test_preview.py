"""The preview marks exactly the tokens whose label counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from support.trainings import configuration

from ftune.assembly.build import build, read_data
from ftune.assembly.parts import Parts
from ftune.batch import IGNORE_INDEX
from ftune.console import Console
from ftune.plan.preview import following, preview, show

ROWS = [{"q": "what is one", "a": "uno"}, {"q": "and two", "a": "dos"}] * 6


def parts(folder: Path, *changes: str) -> Parts:
    file = folder / "t.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")
    tokenize = {"tokenizer": "bpe", "vocabulary": 300, "max_length": 48, "cache": False}
    plain: dict[str, Any] = {
        "task": "causal-lm",
        "data": {"source": "jsonl", "path": str(file), "prompt": "{q} ", "response": "{a}",
                 "split": {"val": 2, "test": 0}, "transforms": [{"tokenize": tokenize}]},
        "model": {"name": "sequential", "layers": [{"embedding": 4}, {"linear": "out"}]},
        "train": {"steps": 1},
        "runtime": {"threads": 1, "device": "cpu"},
    }  # fmt: skip
    del tokenize["cache"]
    config = configuration(*changes, plain=plain)
    return build(config, read_data(config))


def test_tokens_that_count_are_those_with_a_label(tmp_path: Path) -> None:
    whole = parts(tmp_path)
    samples = preview(whole)
    assert len(samples) == 2
    for row, sample in enumerate(samples):
        y = whole.dataset.train.batch(torch.tensor([row]))["y"][0]
        labels = y[y != IGNORE_INDEX].tolist()
        assert [token for token, part in sample if part != "prompt"] == labels
        assert [part for _, part in sample][-2:] == ["answer", "end"]
        said = whole.dataset.pipeline.decode([i for i, part in sample if part == "answer"])  # type: ignore[attr-defined]
        assert said.strip() in ("uno", "dos")


def test_with_prompts_in_the_loss_they_are_marked_too(tmp_path: Path) -> None:
    change = "data.transforms=[{tokenize: {tokenizer: bpe, vocabulary: 300, mask_prompt: false}}]"
    for sample in preview(parts(tmp_path, change)):
        assert [part for _, part in sample].count("prompt") == 1  # the first, which follows nothing


def test_packed_samples_are_told_apart(tmp_path: Path) -> None:
    tokenize = "{tokenizer: bpe, vocabulary: 300, packing: true, max_length: 60}"
    change = f"data.transforms=[{{tokenize: {tokenize}}}]"
    packed = preview(parts(tmp_path, change))
    assert len(packed) == 2
    for sample in packed:
        assert [part for _, part in sample].count("end") == 1


def test_the_last_token_stands_in_y_alone() -> None:
    assert following([1, 2, 3], [IGNORE_INDEX, 3, 4]) == [
        (1, False),
        (2, False),
        (3, True),
        (4, True),
    ]
    assert following([1, 2], [2, IGNORE_INDEX]) == [(1, False), (2, True)]


def test_plain_marks_without_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = parts(tmp_path)
    show(preview(whole), whole, Console())
    out = capsys.readouterr().out
    assert "[uno]<" in out or "[dos]<" in out
    assert "\x1b" not in out
