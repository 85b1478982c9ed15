"""The values at a cut for all rows of a split: computed once, checked, kept under a key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ftune.batch import to_device
from ftune.data.dataset import Split
from ftune.frozen_prefix.cut import Cut
from ftune.frozen_prefix.inputs import PrefixInputs
from ftune.frozen_prefix.rows import SUFFIX, StoredRows, stored_rows
from ftune.frozen_prefix.verify import FAILURES, difference
from ftune.models.call import evaluating
from ftune.objectives import Batch, Forward

VERSION = 1
SAMPLE = 5
"""Rows that are traced and compared."""
ROWS, DENSE_ROWS = 64, 1024
"""Rows that are computed at once, whatever the batch size: with it the last bits would change."""


@dataclass(frozen=True)
class Computation:
    """How a prefix is computed.

    forward: the passes that are to begin at the cut. autocast: their number type, whose name is
    `precision`. folder: where values stay; None: in memory.
    """

    model: nn.Module
    forward: Forward
    autocast: Callable[[], AbstractContextManager[Any]]
    precision: str
    device: torch.device
    folder: Path | None

    def stored(self, cut: Cut, split: Split) -> tuple[Split, str]:
        """Return the rows with what is stored of them, and why they must not be used, if so.

        What an earlier run left and does not do is computed anew.
        """
        file = self._file(cut, split)
        try:
            rows, why, known = self._tried(cut, split, file)
            if why and known and file is not None:
                file.with_suffix(".json").unlink(missing_ok=True)
                rows, why, _ = self._tried(cut, split, file)
        except FAILURES as error:
            return split, f"they cannot be stored ({error})"
        return rows, why

    def _tried(self, cut: Cut, split: Split, file: Path | None) -> tuple[Split, str, bool]:
        def compute(rows: Tensor) -> Tensor:
            return cut.capture(self.forward, batch_of(split, rows, self.device))

        lengths = split.inputs.lengths if cut.ragged else None
        slices = list(split.slices(DENSE_ROWS if split.inputs.dense else ROWS))
        with evaluating(self.model), torch.no_grad(), self.autocast():
            stored, known = stored_rows(compute, slices, lengths, file)
        rows = replace(split, inputs=self._inputs(cut, split, stored))
        return rows, self._difference(cut, split, rows), known

    def _inputs(self, cut: Cut, split: Split, stored: StoredRows) -> PrefixInputs:
        x = split.inputs.take(torch.arange(1))["x"]
        blank = x.is_floating_point() and not split.inputs.dense
        shape = tuple(x.shape[1:]) if blank else None
        return PrefixInputs(split.inputs, stored.to(self.device), cut, self.device, shape)

    def _difference(self, cut: Cut, split: Split, rows: Split) -> str:
        """Compare passes over the first rows, and over some from all of the split."""

        def rest(batch: Batch) -> tuple[Any, Batch]:
            return cut.resume(self.forward, batch)

        last, why = len(split) - 1, ""
        for sample in (torch.arange(SAMPLE), torch.linspace(0, last, SAMPLE).long()):
            sample = sample.clamp(max=last)
            batches = (batch_of(split, sample, self.device), batch_of(rows, sample, self.device))
            with self.autocast():
                why = why or difference(self.model, self.forward, rest, batches, cut.dtype)
        return why

    def _file(self, cut: Cut, split: Split) -> Path | None:
        """Return the file of the values; its name says all that their bits depend on."""
        if self.folder is None:
            return None
        cpu = torch.backends.cpu.get_cpu_capability()
        machine = [torch.__version__, cpu, torch.get_num_threads(), str(self.device)]
        digest = hashlib.sha256(f"{VERSION} {machine} {self.precision} {cut.digest}".encode())
        split.inputs.digest(digest.update)
        return self.folder / f"{digest.hexdigest()}{SUFFIX}"


def batch_of(split: Split, rows: Tensor, device: torch.device) -> dict[str, Tensor]:
    """Return rows (positions, int64 [n]) as a batch without randomness."""
    return to_device(split.batch(rows), device)
