"""Recurrent layers over [time, features]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ftune.config.fields import setting
from ftune.models.shapes import Inputs, Part, misfit


@dataclass(frozen=True)
class _Recurrent:
    size: int = setting(at_least=1, at_most=1_000_000)
    """Size of the hidden state, per direction."""
    layers: int = setting(1, at_least=1, at_most=100)
    """Number of layers on top of each other."""
    bidirectional: bool = setting(False)
    """Whether a second one reads from the end; its state is appended."""
    output: Literal["last", "all"] = setting("last")
    """`last`: the state after the sequence, [size]; `all`: of each step, [time, size]. Padding of
    texts is not read."""
    as_: str | None = setting(None)
    """Name of the layer in the checkpoint and in rules."""

    def build(self, inputs: Inputs, outputs: int) -> Part:  # noqa: ARG002
        from ftune.models import recurrence

        if len(inputs.shape) != 2 or 0 in inputs.shape:
            advice = "add `reshape: [time, features]` with the data's own numbers before it"
            raise misfit("[time, features]", inputs, advice)
        features = inputs.shape[1]
        last = self.output == "last"
        size = self.size * (2 if self.bidirectional else 1)
        kind = getattr(recurrence, type(self).__name__)
        module = kind(features, self.size, self.layers, self.bidirectional, last)
        return Part(module, Inputs((size,)) if last else inputs.over_time(size))


@dataclass(frozen=True)
class Lstm(_Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber 1997)."""


@dataclass(frozen=True)
class Gru(_Recurrent):
    """Gated recurrent unit (Cho et al. 2014)."""
