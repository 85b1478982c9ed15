"""The tensors of a GGUF file as a model of transformers holds them, in 32 bits.

llama.cpp stores the rows of a query or key matrix in the order of its rotary embedding, and
transformers in another (`permute` in llama.cpp's convert_hf_to_gguf.py): both orders are given,
and who looks for a tensor by its bits finds the one that the model has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ftune.errors import CheckpointError, MissingExtraError
from ftune.security.limits.gguf import gguf_file

GGUF = ".gguf"
HALVES = "/halves"
"""Ends the name of a matrix whose rows are in transformers' order."""
_HEADS = {"attn_q.weight": "head_count", "attn_k.weight": "head_count_kv"}


class GgufTensors(Mapping[str, Tensor]):
    """Name -> tensor, dequantised when it is asked for."""

    def __init__(self, file: Path) -> None:
        """Raises CheckpointError for a damaged file, MissingExtraError without gguf."""
        try:
            from gguf import GGUFReader
        except ImportError:
            raise MissingExtraError(str(file), "text") from None
        gguf_file(file)
        self._reader: Any = GGUFReader(file)
        self._stored = {tensor.name: tensor for tensor in self._reader.tensors}
        self._file = file

    def __getitem__(self, name: str) -> Tensor:
        from gguf.quants import dequantize

        stored = self._stored[name.removesuffix(HALVES)]
        try:
            values = np.array(dequantize(stored.data, stored.tensor_type), dtype=np.float32)
            if name.endswith(HALVES):
                values = _in_halves(values, self._heads(name))
        except (NotImplementedError, ValueError) as error:
            raise CheckpointError(f"{self._file}: `{name}`: {error}") from None
        return torch.from_numpy(values)

    def __iter__(self) -> Iterator[str]:
        for name in self._stored:
            yield name
            if self._heads(name):
                yield name + HALVES

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _heads(self, name: str) -> int:
        """How many heads the rows of a query or key matrix are of; 0 for other tensors."""
        kind = ".".join(name.removesuffix(HALVES).split(".")[-2:])
        if kind not in _HEADS:
            return 0
        architecture = self._reader.fields["general.architecture"].contents()
        field = self._reader.fields.get(f"{architecture}.attention.{_HEADS[kind]}")
        heads = field.contents() if field is not None else 0
        return heads if isinstance(heads, int) else 0


def _in_halves(matrix: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Rows of each head from pairs of the rotary embedding into its two halves."""
    pairs = matrix.reshape(heads, len(matrix) // heads // 2, 2, *matrix.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(matrix.shape)
