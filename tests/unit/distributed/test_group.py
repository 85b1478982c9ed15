"""One process as a group, shares of rows, and decisions that several processes agree on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from ftune.distributed.group import Solo, rank_slice
from ftune.distributed.reduce import StepSums, reduce_gradients, reduce_sums
from ftune.engine.decision import Decision
from ftune.errors import DivergedError, OutOfMemoryError


class Scripted(Solo):
    """A group of two whose other rank says what it was told to."""

    world = 2

    def __init__(self, rank: int = 0, other: Any = None) -> None:
        self.rank, self.other = rank, other

    def agree(self, votes: Sequence[int]) -> list[int]:
        return [max(pair) for pair in zip(votes, self.other, strict=True)]

    def gather(self, value: Any) -> list[Any]:
        return [value, self.other]


def test_one_process_changes_nothing() -> None:
    tensor = torch.tensor([1.5, -0.0])
    Solo().sum([tensor])
    assert tensor.tolist() == [1.5, -0.0]
    assert Solo().agree([0, 3]) == [0, 3]
    assert Solo().gather("a") == ["a"] and Solo().broadcast("a") == "a"
    assert Solo().is_main
    rows = [torch.arange(3)]
    assert next(rank_slice(rows, Solo())) is rows[0]


@pytest.mark.parametrize("sizes", [[5, 5], [1], [7, 1], [2, 0]])
def test_shares_are_all_rows_once_in_order(sizes: list[int]) -> None:
    rows = list(torch.split(torch.arange(sum(sizes)), sizes))
    shares = [list(rank_slice(rows, Scripted(rank))) for rank in (0, 1)]
    assert sorted(int(i) for share in shares for part in share for i in part) == list(
        range(sum(sizes))
    )
    assert all(len(part) for share in shares for part in share)
    counts = [sum(map(len, share)) for share in shares]
    assert abs(counts[0] - counts[1]) <= len(sizes)


def test_sums_are_added_and_the_first_error_is_everybodys() -> None:
    other = StepSums(2.0, 3.0, {"kl": 0.5})
    assert reduce_sums(Scripted(other=other), StepSums(1.0, 1.0)) == StepSums(3.0, 4.0, {"kl": 0.5})
    broken = StepSums(error=DivergedError("the loss is nan"))
    with pytest.raises(DivergedError, match="nan"):
        reduce_sums(Scripted(other=broken), StepSums(1.0, 1.0))
    full = StepSums(error=OutOfMemoryError("full", shrinks=True))
    with pytest.raises(OutOfMemoryError):
        reduce_sums(Scripted(other=full), broken)
    with pytest.raises(DivergedError):
        reduce_sums(Solo(), broken)


def test_a_gradient_that_another_rank_has_starts_at_zero_here() -> None:
    here, nowhere = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    reduce_gradients(Scripted(other=[1, 0]), [here, nowhere])
    assert here.grad is not None and not here.grad.any()
    assert nowhere.grad is None
    reduce_gradients(Solo(), [nowhere])
    assert nowhere.grad is None


def test_one_rank_that_saves_or_stops_takes_the_others_along() -> None:
    agreed = Decision().agreed(Scripted(other=[1, 0]))
    assert agreed == Decision(save=True)
    assert Decision(stop="early").agreed(Scripted(other=[0, 3])).stop == "interrupted"
    assert Decision(stop="interrupted").ending().agreed(Solo()).stop == "done"
    assert Decision().agreed(Scripted(other=[0, 0])) == Decision()
