"""What a frozen function gave for each row of some data, computed once: in memory or on disk.

The function may be the prefix of a model, a teacher or a reference model: it takes rows and returns
a tensor, and depends on nothing but what the key says.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ftune.data.disk_cache import completed, evict

LIMIT = 20 * 10**9
"""Bytes that the folder may hold."""
SUFFIX = ".rows"
Compute = Callable[[Tensor], Tensor]
"""Rows (positions, int64 [n]) -> a value for each, [n, …], or [n, longest, …] for ragged rows."""


@dataclass(frozen=True)
class StoredRows:
    """Values of rows, without padding.

    values: [positions, …], in memory or mapped. starts: int64 [rows], where each row begins.
    lengths: int64 [rows], its positions; None where a row is one value.
    """

    values: Tensor
    starts: Tensor
    lengths: Tensor | None

    def to(self, device: torch.device) -> StoredRows:
        """Return the rows on a GPU where they take a quarter of its free memory at most."""
        if device.type != "cuda" or self.values.nbytes > torch.cuda.mem_get_info(device)[0] // 4:
            return self
        return replace(self, values=self.values.to(device))

    def take(self, rows: Tensor, device: torch.device) -> Tensor:
        """Return the values of rows: [n, …], or [n, longest, …] with zeros after each end."""
        rows = rows.cpu()
        if self.lengths is None:
            return self._at(self.starts[rows]).to(device)
        lengths = self.lengths[rows, None]
        steps = torch.arange(int(lengths.max()))
        inside = steps < lengths
        index = torch.where(inside, self.starts[rows, None] + steps, 0)
        values = self._at(index.flatten()).view(*index.shape, *self.values.shape[1:]).to(device)
        outside = ~inside.view(*inside.shape, *[1] * (values.dim() - 2)).to(device)
        return values.masked_fill_(outside, 0)

    def _at(self, index: Tensor) -> Tensor:
        return self.values.index_select(0, index.to(self.values.device))


def stored_rows(
    compute: Compute, batches: list[Tensor], lengths: Tensor | None, file: Path | None
) -> tuple[StoredRows, bool]:
    """Return the values of all rows of `batches`, and whether they were there already.

    file: where they stay, named by what they depend on. None, or a disk that refuses: in memory.
    """
    order = torch.cat(batches)
    counts = torch.ones(len(order), dtype=torch.int64) if lengths is None else lengths[order]
    starts = torch.empty_like(order)
    starts[order] = counts.cumsum(0) - counts
    values = _read(file, int(counts.sum())) if file else None
    known = values is not None
    if values is None and file is not None:
        with suppress(OSError):  # a full or read-only disk costs memory, not the run
            values = _written(_pieces(compute, batches, lengths), file)
    if values is None:
        values = torch.cat(list(_pieces(compute, batches, lengths)))
    return StoredRows(values, starts, lengths), known


def _pieces(
    compute: Compute, batches: Iterable[Tensor], lengths: Tensor | None
) -> Iterator[Tensor]:
    shape: torch.Size | None = None
    for rows in batches:
        values = compute(rows)
        if lengths is not None:
            inside = torch.arange(values.shape[1]) < lengths[rows, None]
            values = values[inside.to(values.device)]
        shape = shape or values.shape[1:]
        if values.shape[1:] != shape:
            raise ValueError(f"rows have values of {list(shape)} and of {list(values.shape[1:])}")
        yield values.cpu().contiguous()


def _written(pieces: Iterator[Tensor], file: Path) -> Tensor:
    """The .json last: without it there is nothing."""
    digest, count = hashlib.sha256(), 0
    with completed(file) as temporary:
        with temporary.open("wb") as opened:
            for piece in pieces:
                raw = piece.view(-1).view(torch.uint8).numpy().data
                digest.update(raw)
                opened.write(raw)
                count += len(piece)
            opened.flush()
            os.fsync(opened.fileno())
        shape = [count, *piece.shape[1:]]
        values = _mapped(temporary, shape, piece.dtype)
    kind = str(piece.dtype).removeprefix("torch.")
    with completed(file.with_suffix(".json")) as temporary:
        temporary.write_text(
            json.dumps({"shape": shape, "dtype": kind, "sha256": digest.hexdigest()})
        )
    evict(file, LIMIT)
    return values


def _read(file: Path, count: int) -> Tensor | None:
    """Return what an earlier run left; None where it is absent or damaged."""
    try:
        about: dict[str, Any] = json.loads(file.with_suffix(".json").read_bytes())
        dtype, shape = getattr(torch, about["dtype"]), about["shape"]
        size = torch.Size(shape).numel() * dtype.itemsize
        if shape[0] != count or file.stat().st_size != size:
            return None
        with file.open("rb") as opened:
            if hashlib.file_digest(opened, "sha256").hexdigest() != about["sha256"]:
                return None
        os.utime(file)
        return _mapped(file, shape, dtype)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError):
        return None


def _mapped(file: Path, shape: list[int], dtype: torch.dtype) -> Tensor:
    size = torch.Size(shape).numel()
    return torch.from_file(str(file), shared=False, size=size, dtype=dtype).view(shape)
