"""What models of tokens say: how a prompt goes on, and the tag of each word."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ftune.batch import to_device
from ftune.data.dataset import Split
from ftune.data.text.pipeline import TextPipeline
from ftune.engine.evaluate import inference
from ftune.models.call import counted
from ftune.models.generate import generate
from ftune.tasks.protocol import Task

Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Sampling:
    """How text is drawn: `temperature` 0 takes the likeliest token each time."""

    max_tokens: int = 200
    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0


def continued(
    module: nn.Module,
    pipeline: TextPipeline,
    device: torch.device,
    prompts: Sequence[list[int]],
    sampling: Sampling,
) -> Iterator[str]:
    """Yield the text that follows each prompt."""
    generator = torch.Generator().manual_seed(sampling.seed)
    for ids in prompts:
        answer = generate(
            module,
            torch.tensor(ids, device=device),
            max_new_tokens=sampling.max_tokens,
            context=_context(module, pipeline),
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            stop_ids=pipeline.stop_ids,
            generator=generator,
        )
        yield pipeline.decode(answer)


def _context(module: nn.Module, pipeline: TextPipeline) -> int:
    """Return how many tokens the model reads: its own positions, else those it was trained on."""
    config = getattr(module, "config", None)
    positions = getattr(config and config.get_text_config(), "max_position_embeddings", None)
    return int(positions or pipeline.features.shape[0])


def tags_of(
    module: nn.Module, task: Task, split: Split, size: int, device: torch.device, told: Told
) -> list[list[str]]:
    """Return the tags of each row's words, as many as were not cut away; `size` rows at once."""
    tags: list[list[str]] = [[] for _ in range(len(split))]
    with inference(module):
        for rows in split.slices(size):
            outputs, batch = counted(module, to_device(split.batch(rows), device))
            predicted = task.predictions(outputs)["prediction"]
            for row, tag in zip(rows[batch["row"].cpu()].tolist(), predicted, strict=True):
                tags[row].append(str(tag))
            told(sum(map(bool, tags)), len(split))
    return tags
