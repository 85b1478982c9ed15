from __future__ import annotations

import pytest
import torch

from ftune.data.batches import Batches
from ftune.errors import DataError


def epoch(batches: Batches, number: int) -> torch.Tensor:
    start = number * batches.steps_per_epoch
    steps = range(start, start + batches.steps_per_epoch)
    return torch.cat([torch.cat(batches.indices(step)) for step in steps])


@pytest.mark.parametrize(
    ("size", "batch", "accumulate", "steps"),
    [(10, 3, 1, 4), (10, 3, 2, 2), (12, 4, 3, 1), (5, 8, 1, 1)],
)
def test_each_row_once_an_epoch(size: int, batch: int, accumulate: int, steps: int) -> None:
    batches = Batches(size, batch, accumulate, seed=3)
    assert batches.steps_per_epoch == steps
    for number in range(3):
        assert epoch(batches, number).sort().values.tolist() == list(range(size))


def test_epochs_and_seeds_differ() -> None:
    one = Batches(50, 5, seed=1)
    assert not torch.equal(epoch(one, 0), epoch(one, 1))
    assert not torch.equal(epoch(one, 0), epoch(Batches(50, 5, seed=2), 0))


def test_any_start_gives_the_same_stream() -> None:
    whole, late = Batches(23, 4, 2, seed=9), Batches(23, 4, 2, seed=9)
    stream = [torch.cat(whole.indices(step)).tolist() for step in range(12)]
    assert [torch.cat(late.indices(step)).tolist() for step in (7, 2, 11, 0)] == [
        stream[step] for step in (7, 2, 11, 0)
    ]


def test_accumulated_micro_batches_are_one_larger_batch() -> None:
    small, large = Batches(22, 3, 4, seed=5), Batches(22, 12, 1, seed=5)
    for step in range(4):
        assert torch.equal(torch.cat(small.indices(step)), torch.cat(large.indices(step)))
        assert all(len(part) <= 3 for part in small.indices(step))


def test_drop_last_leaves_only_full_steps() -> None:
    batches = Batches(10, 2, 2, seed=0, drop_last=True)
    assert batches.steps_per_epoch == 2
    assert all(sum(map(len, batches.indices(step))) == 4 for step in range(6))
    with pytest.raises(DataError, match="3 training rows"):
        Batches(3, 2, 2, seed=0, drop_last=True)


def test_negative_seed() -> None:
    assert sorted(epoch(Batches(4, 2, seed=-1), 0).tolist()) == [0, 1, 2, 3]
