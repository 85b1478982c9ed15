"""Tensors to a safetensors file, one after the other, hashed on the way.

The library's own writer holds the whole file in memory once more, and ends the process where that
does not fit. The bytes are the same: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# Wider types first, so that each tensor begins where its type may; then by name.
_TYPES = {
    torch.uint64: "U64",
    torch.int64: "I64",
    torch.float64: "F64",
    torch.complex64: "C64",
    torch.float32: "F32",
    torch.uint32: "U32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint16: "U16",
    torch.int16: "I16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_RANKS = {kind: rank for rank, kind in enumerate(_TYPES)}
DTYPES = {str(kind).removeprefix("torch."): kind for kind in _TYPES}
PIECE = 2**24


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Writes and flushes to the disk; returns the sha256 of the file. Raises OSError."""
    digest = hashlib.sha256()
    ordered = sorted(tensors, key=lambda name: (_RANKS[tensors[name].dtype], name))
    with path.open("wb") as file:
        for piece in _pieces(tensors, ordered):
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _pieces(tensors: Mapping[str, Tensor], ordered: list[str]) -> Iterator[bytes | memoryview]:
    yield _header(tensors, ordered)
    for name in ordered:
        data = bytes_of(tensors[name])
        for at in range(0, len(data), PIECE):
            yield data[at : at + PIECE]


def _header(tensors: Mapping[str, Tensor], ordered: list[str]) -> bytes:
    entries, end = {}, 0
    for name in ordered:
        tensor, begin = tensors[name], end
        end += tensor.numel() * tensor.element_size()
        kind, shape = _TYPES[tensor.dtype], list(tensor.shape)
        entries[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def bytes_of(tensor: Tensor) -> memoryview:
    """A tensor's bytes; where it is contiguous on the CPU, without a copy."""
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    data: Any = flat.numpy()
    return memoryview(data)


def tensor_sha256(tensor: Tensor) -> str:
    """sha256 of a tensor's bytes."""
    return hashlib.sha256(bytes_of(tensor)).hexdigest()


def content_digest(digests: Mapping[str, str]) -> str:
    """sha256 over the names of tensors and the sha256 of each."""
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
