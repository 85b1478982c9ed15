"""What counts in the loss: the tokens of some samples, each with its part in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Literal

import torch
from torch import Tensor

from ftune.assembly.parts import Parts
from ftune.batch import IGNORE_INDEX
from ftune.console import Console
from ftune.data.text.pipeline import TextPipeline
from ftune.models.call import has_positions

Part = Literal["prompt", "answer", "end"]
Token = tuple[int, Part]
"""`prompt` does not count in the loss; `answer` does, and `end`, which ends a text."""
STYLES: Mapping[Part, str] = {"prompt": "", "answer": "green", "end": "bold yellow"}
MARKS: Mapping[Part, str] = {"prompt": "{}", "answer": "[{}]", "end": "<{}>"}
LONGEST = 300
"""Characters of one part that are shown."""


def preview(parts: Parts, count: int = 2) -> list[list[Token]]:
    """Return the tokens of the first training samples; empty where a target is one a row."""
    pipeline, train = parts.dataset.pipeline, parts.dataset.train
    if not isinstance(pipeline, TextPipeline) or not has_positions(train.batch(torch.tensor([0]))):
        return []
    ends = set(pipeline.stop_ids)
    continued = not parts.task.output_names  # of a language model, else one tag a word
    samples = islice(_samples(train.batch(torch.tensor([i])) for i in range(len(train))), count)
    return [
        [(i, _part(i, counts, ends)) for i, counts in (following if continued else tagged)(x, y)]
        for x, y in samples
    ]


def _samples(batches: Iterator[Mapping[str, Tensor]]) -> Iterator[tuple[list[int], list[int]]]:
    """Yield x and y of each sample, also of those that are packed into one row."""
    for batch in batches:
        segments = batch.get("segments", torch.ones_like(batch["x"]))[0]
        for number in range(1, int(segments.max()) + 1):
            inside = segments == number
            yield batch["x"][0][inside].tolist(), batch["y"][0][inside].tolist()


def _part(token: int, counts: bool, ends: set[int]) -> Part:
    return "prompt" if not counts else "end" if token in ends else "answer"


def following(x: Sequence[int], y: Sequence[int]) -> list[tuple[int, bool]]:
    """Return the tokens of a text, and whether each is to be predicted.

    y: what follows each of x, or -100. The last token of a text stands in y alone.
    """
    later = [
        (i if label == IGNORE_INDEX else label, label != IGNORE_INDEX)
        for i, label in zip([*x[1:], IGNORE_INDEX], y, strict=True)
    ]
    return [(x[0], False), *(pair for pair in later if pair[0] != IGNORE_INDEX)]


def tagged(x: Sequence[int], y: Sequence[int]) -> list[tuple[int, bool]]:
    """Return the tokens of a text, and whether each has a tag that counts."""
    return [(i, label != IGNORE_INDEX) for i, label in zip(x, y, strict=True)]


def show(samples: Sequence[Sequence[Token]], parts: Parts, console: Console) -> None:
    """Print samples: coloured on a terminal, else with the marks `[answer]` and `<end>`."""
    pipeline = parts.dataset.pipeline
    assert isinstance(pipeline, TextPipeline)
    console.info("what counts in the loss: answers and ends, no prompts")
    parts_shown: tuple[Part, ...] = ("prompt", "answer", "end")
    _print([(f"{part} ", part) for part in parts_shown], console)
    for number, sample in enumerate(samples, 1):
        counted = sum(part != "prompt" for _, part in sample)
        console.info(f"sample {number}: {len(sample):,} tokens, {counted:,} count")
        runs = [
            (_cut(pipeline.decode([i for i, _ in run], specials=True)), part)
            for part, run in groupby(sample, key=lambda token: token[1])
        ]
        _print(runs, console)


def _print(runs: Sequence[tuple[str, Part]], console: Console) -> None:
    if console.is_terminal:
        console.styled([(text, STYLES[part]) for text, part in runs])
    else:
        console.info("".join(MARKS[part].format(text) for text, part in runs))


def _cut(text: str) -> str:
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]} … {text[-half:]}"
