"""A batch through a model whose output layer is wide."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ftune.models import chunked
from ftune.models.call import counted, counted_in_chunks


class Lm(nn.Module):
    """States of random ids, and an output layer of 10 ids."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.output_layer = nn.Embedding(10, 4), nn.Linear(4, 10)

    def hidden(self, x: Tensor) -> Tensor:
        states: Tensor = self.embedding(x)
        return states

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.output_layer(self.hidden(x))
        return outputs


def batch() -> dict[str, Tensor]:
    x = torch.randint(10, (6, 5), generator=torch.Generator().manual_seed(1))
    y = x.clone()
    y[0, 1:] = y[2] = y[5, 3:] = -100  # rows that count 1, 5, 0, 5, 5 and 3 positions
    return {"x": x, "y": y}


def test_chunks_are_whole_rows_and_together_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Lm()
    monkeypatch.setattr(chunked, "CHUNK_BYTES", 4 * 10 * 6)  # the outputs of 6 positions
    chunks = list(counted_in_chunks(model, batch()))
    assert [part["row"].tolist() for _, part in chunks] == [
        [0, 1, 1, 1, 1, 1], [3] * 5, [4] * 5, [5] * 3
    ]  # fmt: skip
    outputs, whole = counted(model, batch())
    assert torch.equal(torch.cat([part["y"] for _, part in chunks]), whole["y"])
    assert torch.allclose(torch.cat([part for part, _ in chunks]), outputs, atol=1e-6)


def test_a_row_that_is_too_long_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunked, "CHUNK_BYTES", 4 * 10)
    sizes = [len(outputs) for outputs, _ in counted_in_chunks(Lm(), batch())]
    assert sizes == [1, 5, 5, 5, 3]


def test_what_fits_is_one_chunk() -> None:
    ((outputs, _),) = counted_in_chunks(Lm(), batch())
    assert torch.equal(outputs, counted(Lm(), batch())[0])
