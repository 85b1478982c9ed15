"""Recurrent modules that read each sample of a row by itself, and no padding.

x: [batch, time, features]; segments: see `tokens`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence, unpack_sequence


class _Reader(nn.RNNBase):
    """-> the last state [batch, size], or all of them [batch, time, size]."""

    def __init__(self, features: int, size: int, layers: int, both: bool, last: bool) -> None:
        super().__init__(features, size, layers, batch_first=True, bidirectional=both)  # type: ignore[arg-type]
        self.last = last

    def forward(self, x: Tensor, segments: Tensor | None = None) -> Tensor:
        samples = None if segments is None else Samples.of(segments)
        states, final = super().forward(x if samples is None else samples.pack(x))
        final = final[0] if isinstance(final, tuple) else final  # an LSTM's cells go unread
        if self.last:
            final = _last(final, self.bidirectional)
            return final if samples is None else samples.last_of_rows(final)
        return states if samples is None else samples.unpack(states)


class Lstm(_Reader, nn.LSTM):  # type: ignore[misc]
    """Long short-term memory."""


class Gru(_Reader, nn.GRU):  # type: ignore[misc]
    """Gated recurrent unit."""


def _last(final: Tensor, both: bool) -> Tensor:
    """The top layer's final state [batch, size]; with both directions, each after its own end."""
    return torch.cat([final[-2], final[-1]], 1) if both else final[-1]


@dataclass(frozen=True)
class Samples:
    """Where the samples of a batch lie, one after the other.

    real: bool [batch, time]. lengths: of each sample. counts: int64 [batch], samples in each row.
    """

    real: Tensor
    lengths: list[int]
    counts: Tensor

    @classmethod
    def of(cls, segments: Tensor) -> Samples:
        real = segments > 0
        rows = torch.arange(len(segments), device=segments.device)[:, None].expand_as(segments)
        pairs, lengths = torch.unique_consecutive(
            torch.stack([rows[real], segments[real]]), return_counts=True, dim=1
        )
        return cls(real, lengths.tolist(), pairs[0].bincount(minlength=len(segments)))

    def pack(self, x: Tensor) -> PackedSequence:
        return pack_sequence(list(torch.split(x[self.real], self.lengths)), enforce_sorted=False)

    def unpack(self, packed: PackedSequence) -> Tensor:
        """[batch, time, size], zeros where there is padding."""
        states = torch.cat(unpack_sequence(packed))
        out = states.new_zeros(*self.real.shape, states.shape[1])
        out[self.real] = states
        return out

    def last_of_rows(self, final: Tensor) -> Tensor:
        """[samples, size] -> [batch, size], that of each row's last sample."""
        last: Tensor = final[(self.counts.cumsum(0) - 1).clamp(min=0)]
        return last * (self.counts > 0)[:, None]
