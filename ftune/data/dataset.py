"""Rows ready for training: a store of inputs and the targets of each part."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ftune.data.pipeline import Pipeline
from ftune.data.store import Dense, RngKey, Store, digest_tensor

if TYPE_CHECKING:
    import torch

    from ftune.data.frame import Frame
    from ftune.data.profile.profile import Profile


@dataclass(frozen=True)
class Split:
    """Inputs, y as `Pipeline.targets` gives it, and rows [rows] int64.

    y is None where the inputs bring it themselves. `rows` are the numbers of the rows in their
    file, from 1. raw: of numbers to predict, what the file says (`Pipeline.raw_targets`), which
    metrics go by; it stays on the CPU.
    """

    inputs: Store
    y: torch.Tensor | None
    rows: torch.Tensor
    raw: torch.Tensor | None = None

    @classmethod
    def of(cls, pipeline: Pipeline, frame: Frame, train: bool = False) -> Split:
        """The rows of a frame with their targets, as a fitted pipeline gives them.

        Raises DataError for rows that cannot be used.
        """
        import torch

        inputs, rows = pipeline.inputs(frame, train), torch.from_numpy(frame.rows.copy())
        rows = rows if inputs.source_rows is None else rows[inputs.source_rows]
        return cls(inputs, pipeline.targets(frame), rows, pipeline.raw_targets(frame))

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def x(self) -> torch.Tensor:
        """Of a table: all inputs, [rows, *shape]."""
        assert isinstance(self.inputs, Dense)
        return self.inputs.x

    def batch(self, rows: torch.Tensor, rng_key: RngKey | None = None) -> dict[str, torch.Tensor]:
        """Inputs and targets of these rows (positions, int64 [n]).

        With `raw` outside training: a training step has no use for it, and what it mixes has none.
        """
        batch = self.inputs.take(rows, rng_key)
        if self.y is not None:
            batch["y"] = self.y.index_select(0, rows.to(self.y.device))
        if self.raw is not None and rng_key is None:
            batch["raw"] = self.raw.index_select(0, rows.cpu())
        if "partner" in batch and batch["y"].is_floating_point():  # mixup of numbers and labels
            y, share = batch["y"], batch["share"][:, None]
            batch["y"] = y * share + y[batch["partner"]] * (1 - share)
        return batch

    def slices(self, size: int) -> Iterator[torch.Tensor]:
        """All rows in pieces of `size`, those of similar length together."""
        import torch

        lengths = self.inputs.lengths
        rows = torch.arange(len(self)) if lengths is None else lengths.argsort(stable=True)
        for at in range(0, len(rows), size):
            yield rows[at : at + size]

    def to(self, device: torch.device) -> Split:
        """What lives in memory, on that device."""
        y = None if self.y is None else self.y.to(device)
        return replace(self, inputs=self.inputs.to(device), y=y)


@dataclass(frozen=True)
class Dataset:
    """The parts that there are, how they were made, and what the user should know.

    profile: what the columns of the training file hold; None where a pipeline was used as it is.
    """

    train: Split
    val: Split | None
    test: Split | None
    pipeline: Pipeline
    notes: list[str] = field(default_factory=list)
    profile: Profile | None = None

    @property
    def splits(self) -> dict[str, Split]:
        """The parts that exist, by name."""
        named = {"train": self.train, "val": self.val, "test": self.test}
        return {name: part for name, part in named.items() if part is not None}


def fingerprint(of: Dataset | str | Path) -> str:
    """sha256 of a file, or of every number of a prepared data set."""
    digest = hashlib.sha256()
    if isinstance(of, Dataset):
        for part in (of.train, of.val, of.test):
            if part is None:
                continue
            part.inputs.digest(digest.update)
            for tensor in (part.y, part.rows) if part.y is not None else (part.rows,):
                digest_tensor(tensor, digest.update)
        return digest.hexdigest()
    with Path(of).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def raw_fingerprint(dataset: Dataset) -> str | None:
    """sha256 of the numbers to predict as the file has them; None where they are not numbers.

    Apart from `fingerprint`, which runs of 0.1 know: a value that `clip` hides changes metrics all
    the same.
    """
    parts = [part.raw for part in dataset.splits.values() if part.raw is not None]
    if not parts:
        return None
    digest = hashlib.sha256()
    for raw in parts:
        digest_tensor(raw, digest.update)
    return digest.hexdigest()


def loses_targets(dataset: Dataset) -> bool:
    """Whether `target_transforms` let go of something that their inverse cannot bring back."""
    for part in dataset.splits.values():
        if part.raw is None or part.y is None:
            continue
        back, scale = dataset.pipeline.invert(part.y.double()), float(part.raw.abs().max())
        if not back.allclose(part.raw, rtol=1e-5, atol=1e-5 * scale):
            return True
    return False
