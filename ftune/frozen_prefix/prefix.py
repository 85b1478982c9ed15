"""The frozen prefix of a model in training: found, computed once for each row, and left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch

from ftune.data.dataset import Split
from ftune.frozen_prefix.compute import SAMPLE, Computation, batch_of
from ftune.frozen_prefix.cut import STORED, Cut, cuts
from ftune.frozen_prefix.rows import LIMIT
from ftune.frozen_prefix.trace import traced
from ftune.frozen_prefix.verify import FAILURES
from ftune.models.call import counted, counted_in_chunks, evaluating
from ftune.objectives import Batch
from ftune.security.limits.memory import available, spoken

Passes = Callable[[Batch], Iterable[tuple[Any, Batch]]]
TRIES = 3
"""Cuts that are tried, from the last one on."""
SAVED = 1e11
"""Multiply-adds from which `auto` leaves a prefix out: about a second of work."""
MARGIN = 1.3
"""How much faster, by arithmetic, a training must become for `auto`."""


@dataclass
class FrozenPrefix:
    """Which part of the model need not be computed again, in each phase of a training.

    setting: `train.cache`. rows: of the training, on the device; source: where they are gathered
    from now. computation: of the training's passes. set_trainable: begins an epoch. epochs: how
    many the phase has that begins with an epoch. why_not: why rows cannot be stored, if so. warn:
    tells the user why all is computed.
    """

    setting: Literal["auto", "off", "on"]
    rows: Split
    computation: Computation
    set_trainable: Callable[[int], None]
    epochs: Callable[[int], float]
    why_not: str = ""
    warn: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        self.cut: Cut | None = None
        self.source = self.rows
        self._trained: frozenset[str] | None = None
        self._evaluated: dict[int, tuple[Split, Split]] = {}

    def forward(self, batch: Batch) -> tuple[Any, Batch]:
        """The training's forward pass, from what is stored where the batch has it."""
        plain = self.computation.forward
        stored = self.cut is not None and STORED in batch
        return self.cut.resume(plain, batch) if self.cut and stored else plain(batch)

    def enter(self, epoch: int) -> None:
        """Set what is trained in `epoch`; find the prefix anew where that has changed."""
        self.set_trainable(epoch)
        model = self.computation.model
        trained = frozenset(n for n, p in model.named_parameters() if p.requires_grad)
        if trained != self._trained:
            self._trained, self.cut, self.source, self._evaluated = trained, None, self.rows, {}
            self._choose(self._candidates(epoch))

    def announcement(self) -> list[str]:
        """What the training's first lines say of it, if anything."""
        if self.setting == "off":
            return []
        self.set_trainable(0)
        return [
            f"train.cache: nothing before `{cut.path}` is trained; what reaches it is computed "
            f"once for each row ({spoken(_size(cut, self.rows))}). Losses are equal to rounding; "
            "`train.cache: off` computes it in each step"
            for cut in self._candidates(0)[:1]
        ]

    def evaluation(self, split: Split) -> tuple[Split, Passes]:
        """Return rows to evaluate, with what is stored of them, and how they pass the model."""
        plain = partial(counted, self.computation.model)
        if self.cut is not None and id(split) not in self._evaluated:
            how = replace(self.computation, forward=plain, autocast=nullcontext, precision="fp32")
            rows, why = split, ""
            if _fitting(self.cut, split, self._room()):
                with evaluating(how.model):
                    rows, why = how.stored(self.cut, split)
            # With the split, so that no other gets its id.
            self._evaluated[id(split)] = split, split if why else rows
        rows = self._evaluated[id(split)][1] if self.cut else split
        return rows, self._passes

    def _passes(self, batch: Batch) -> Iterator[tuple[Any, Batch]]:
        model, cut = self.computation.model, self.cut
        if cut is None or STORED not in batch:
            yield from counted_in_chunks(model, batch)
        elif cut.tail is not None:
            yield cut.resume(partial(counted, model), batch)
        else:
            with cut.skipping(batch):
                yield from counted_in_chunks(model, batch)

    def _candidates(self, epoch: int) -> list[Cut]:
        """Return where the prefix may end, the latest first; [] where nothing is to be stored."""
        if self.setting == "off" or self.why_not or len(self.rows) < SAMPLE:
            return []
        how = self.computation
        if all(p.requires_grad for p in how.model.parameters()):  # no pass is needed to know
            return []
        batch = batch_of(self.rows, torch.arange(SAMPLE), how.device)
        try:
            with how.autocast():
                ends = cuts(traced(how.model, how.forward, batch))
        except FAILURES:  # the first step says it better
            return []
        ends = [cut for cut in ends if _fitting(cut, self.rows, self._room())]
        if self.setting == "auto":
            ends = [cut for cut in ends if pays(cut, len(self.rows), self.epochs(epoch))]
        return ends[:TRIES]

    def _room(self) -> int:
        return LIMIT if self.computation.folder else available() // 2

    def _choose(self, candidates: list[Cut]) -> None:
        why = self.why_not or "nothing frozen and fixed comes before what is trained"
        for cut in candidates:
            rows, why = self.computation.stored(cut, self.rows)
            if not why:
                self.cut, self.source = cut, rows
                return
        if candidates or self.setting == "on":
            self.warn(f"train.cache: all layers are computed in each step: {why}")


def pays(cut: Cut, rows: int, epochs: float) -> bool:
    """Whether leaving out is worth it, by arithmetic alone, so that each machine decides alike.

    A backward pass takes as much as two forward passes, and is made from the cut on.
    """
    without, once = epochs * (cut.macs + 3 * cut.rest), cut.macs + epochs * 3 * cut.rest
    saved = rows * cut.macs * (epochs - 1)
    return cut.blocks > 0 and saved >= SAVED and without >= MARGIN * once


def _size(cut: Cut, split: Split) -> int:
    lengths = split.inputs.lengths if cut.ragged else None
    positions = len(split) if lengths is None else int(lengths.sum())
    width = torch.Size(cut.shape[1 if lengths is None else 2 :]).numel()
    return positions * width * cut.dtype.itemsize


def _fitting(cut: Cut, split: Split, room: int) -> bool:
    return _size(cut, split) <= room
