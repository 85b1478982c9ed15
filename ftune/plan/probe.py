"""Some steps of a training whose weights stay: what memory and time are measured on."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from ftune.assembly.build import start
from ftune.assembly.job import job
from ftune.assembly.loader import eval_batch_size
from ftune.assembly.parts import Parts
from ftune.batch import to_device
from ftune.engine.callback import NullCallback
from ftune.engine.evaluate import observe
from ftune.engine.faults import ResilientStep
from ftune.schema.root import RunConfig

Timing = tuple[float, float]
"""Size of a batch, and seconds."""


def rehearsed(config: RunConfig) -> RunConfig:
    """Return the configuration with a number for what only a search or a probe will tell."""
    if config.train.minutes is not None:
        config = replace(config, train=replace(config.train, steps=1, minutes=None))
    if config.optimizer.lr == "auto":
        config = replace(config, optimizer=replace(config.optimizer, lr=1.0))
    return config


class Probe:
    """Takes steps and evaluates batches of a training that does not go on.

    The learning rate is 0; running statistics and the state of the optimizer do move, so that the
    parts are used up.
    """

    def __init__(self, parts: Parts, config: RunConfig) -> None:
        self.parts, self.config = parts, config
        self.state = start(parts)
        self.work = cast(ResilientStep, job(parts, NullCallback()).step)
        # Where most is trained; without `prefix.enter`, which would compute all rows.
        parts.phases.enter(max(parts.phases.starts, default=0))
        for optimizer in self.state.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = 0.0
        per_epoch, lengths = parts.batches.steps_per_epoch, parts.dataset.train.inputs.lengths
        self.sizes = [
            [size_of(rows, lengths) for rows in parts.batches.indices(step)]
            for step in range(per_epoch)
        ]
        self.costs = [sum(sizes) for sizes in self.sizes]
        self.steps: list[Timing] = []
        self.evaluations: dict[str, list[Timing]] = {name: [] for name in parts.dataset.splits}

    @cached_property
    def largest(self) -> int:
        """The step with the largest micro-batch."""
        return max(range(len(self.sizes)), key=lambda step: max(self.sizes[step]))

    def step(self, index: int) -> None:
        """Take a step of the first epoch and note its seconds."""
        self.state.step = index
        began = time.perf_counter()
        self.work(self.state)
        _synchronize(self.parts.device)
        self.steps.append((self.costs[index], time.perf_counter() - began))

    def batch(self, index: int) -> dict[str, Tensor]:
        """Return the largest micro-batch of a step."""
        self.state.step = index
        batches = self.work.feed(index, 1)
        return dict(max(batches, key=lambda batch: batch["x"].numel()))

    def evaluate(self, name: str, index: int = -1) -> None:
        """Score one batch of a split, by default the largest, and note the seconds."""
        split, pieces = self.parts.dataset.splits[name], self.pieces(name)
        rows, size = pieces[index] if index >= 0 else max(pieces, key=lambda piece: piece[1])
        began = time.perf_counter()
        batch = to_device(split.batch(rows), self.parts.device)
        observe(self.parts.model, self.parts.task.metrics(), [batch])
        _synchronize(self.parts.device)
        self.evaluations[name].append((size, time.perf_counter() - began))

    def pieces(self, name: str) -> list[tuple[Tensor, float]]:
        """Return the rows of each batch of an evaluation, and their size."""
        split = self.parts.dataset.splits[name]
        pieces = split.slices(eval_batch_size(split.inputs, self.config))
        return [(rows, size_of(rows, split.inputs.lengths)) for rows in pieces]


def size_of(rows: Tensor, lengths: Tensor | None) -> float:
    """Return how many positions a batch has, padding included; rows, where all are alike."""
    return float(len(rows) * (1 if lengths is None else int(lengths[rows].max())))


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
