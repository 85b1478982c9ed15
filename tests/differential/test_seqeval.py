"""F1 of entities against seqeval."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from support.differential import Table, agrees, each

from ftune.tasks import TASKS

reference = pytest.importorskip("seqeval.metrics")
scheme = pytest.importorskip("seqeval.scheme")

KINDS = ("LOC", "PER")


def _tagged(rng: np.random.Generator, prefixes: str, lengths: list[int]) -> list[list[str]]:
    """Random tags, mostly in runs, also in orders that no scheme allows."""
    tags = ["O", *(f"{prefix}-{kind}" for prefix in prefixes for kind in KINDS)]
    rows = []
    for length in lengths:
        row = [str(tag) for tag in rng.choice(tags, length)]
        for index in range(1, length):
            if rng.random() < 0.5 and row[index - 1] != "O":
                row[index] = f"I-{row[index - 1][2:]}"
        rows.append(row)
    return rows


def _ours(truth: list[list[str]], guess: list[list[str]], tags: tuple[str, ...]) -> float:
    """The metric over batches of three texts."""
    task = TASKS["token-classification"]().build(tags, ("tags",), None, lambda x: x, 0)
    metrics = task.metrics()
    for at in range(0, len(truth), 3):
        rows = range(at, min(at + 3, len(truth)))
        number = {tag: index for index, tag in enumerate(tags)}
        y = torch.tensor([number[tag] for row in rows for tag in truth[row]])
        guessed = torch.tensor([number[tag] for row in rows for tag in guess[row]])
        of = torch.tensor([row - at for row in rows for _ in truth[row]])
        outputs = torch.nn.functional.one_hot(guessed, len(tags)).float()
        metrics.update(outputs, {"y": y, "row": of})
    return float(metrics.compute()["entity_f1"])


def _scores(
    rng: np.random.Generator, prefixes: str, broken: bool, **strict: Any
) -> tuple[Any, Any]:
    lengths = [int(n) for n in rng.integers(1, 9, 14)]
    truth = _tagged(rng, prefixes, lengths)
    noise = _tagged(rng, prefixes, lengths)
    guess = [[b if rng.random() < 0.2 else a for a, b in zip(t, n, strict=True)]
             for t, n in zip(truth, noise, strict=True)]  # fmt: skip
    tags = ("O", *(f"{prefix}-{kind}" for prefix in prefixes for kind in KINDS))
    ours = _ours(truth, guess, tags)
    with warnings.catch_warnings(action="ignore"):
        if broken:  # words in place of entities
            flat = [[tag[2:] or "O" for tag in row] for row in truth], [
                [tag[2:] or "O" for tag in row] for row in guess]  # fmt: skip
            return ours, reference.f1_score(*[[[f"B-{t}" if t != "O" else t for t in row]
                                               for row in rows] for rows in flat])  # fmt: skip
        return ours, reference.f1_score(truth, guess, **strict)


def _bio(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    return _scores(rng, "BI", broken)


def _bioes(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    return _scores(rng, "BIES", broken)


TABLE: Table = {"bio": (1e-9, _bio), "bioes": (1e-9, _bioes)}


@each(TABLE)
def test_seqeval(name: str) -> None:
    agrees(TABLE, name)
