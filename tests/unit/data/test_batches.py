from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats  # type: ignore[import-untyped]

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


LENGTHS = torch.from_numpy(np.random.default_rng(0).geometric(1 / 12, 300).clip(3, 80))


def steps_of(batches: Batches, number: int) -> list[torch.Tensor]:
    per_epoch = batches.steps_per_epoch
    return [torch.cat(batches.indices(number * per_epoch + step)) for step in range(per_epoch)]


def by_length(size: int = 300, **settings: Any) -> Batches:
    return Batches(size, 8, seed=settings.pop("seed", 0), lengths=LENGTHS[:size], **settings)


def padded(steps: Sequence[torch.Tensor]) -> float:
    """The share of a batch's positions that hold nothing."""
    real, whole = ([float(f(LENGTHS[step])) for step in steps] for f in (torch.sum, torch.max))
    return 1 - sum(real) / sum(most * len(step) for most, step in zip(whole, steps, strict=True))


def met_again(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> float:
    """Of the pairs of rows that share a step, those that share one in the other epoch, too."""
    pairs = [
        {pair for step in steps for pair in combinations(sorted(step.tolist()), 2)}
        for steps in (one, other)
    ]
    return len(pairs[0] & pairs[1]) / len(pairs[0])


def sorted_once(size: int) -> list[torch.Tensor]:
    """The control: sorted over the whole set, as every epoch of so few steps once was."""
    return list(torch.split(LENGTHS[:size].argsort(descending=True, stable=True), 8))


@pytest.mark.parametrize("size", [24, 60, 300])
def test_rows_of_similar_length_meet_others_in_every_epoch(size: int) -> None:
    batches = by_length(size)
    epochs = [steps_of(batches, number) for number in range(6)]
    for steps in epochs:
        assert sorted(torch.cat(steps).tolist()) == list(range(size))
    again = [met_again(*pair) for pair in pairwise(epochs)]
    assert max(again) < 0.5, again
    assert met_again(sorted_once(size), sorted_once(size)) == 1
    assert met_again(epochs[0], steps_of(by_length(size), 0)) == 1


def test_padding_is_no_more_than_transformers_leaves() -> None:
    utils = pytest.importorskip("transformers.trainer_pt_utils")
    theirs = []
    for seed in range(6):
        dice = torch.Generator().manual_seed(seed)
        order = utils.get_length_grouped_indices(LENGTHS.tolist(), 8, generator=dice)
        theirs.append(list(torch.split(torch.tensor(order), 8)))
    ours = [steps_of(by_length(), number) for number in range(6)]
    least, most = padded(sorted_once(300)), padded(steps_of(Batches(300, 8, seed=0), 0))
    wasted, reference = (np.mean([padded(steps) for steps in all_]) for all_ in (ours, theirs))
    assert least < wasted < reference + 0.01 < most / 2
    assert np.mean([met_again(*pair) for pair in pairwise(theirs)]) < 0.3


def test_steps_of_similar_length_come_in_any_order() -> None:
    """Long ones first, epoch after epoch, would be a curriculum that nobody asked for."""
    batches, longest = by_length(), int(LENGTHS.argmax())
    found = [
        [longest in step for step in steps_of(batches, number)].index(True) for number in range(60)
    ]
    assert stats.kstest(np.array(found) / batches.steps_per_epoch, "uniform").pvalue > 0.001
    in_order = np.random.default_rng(0).integers(2, size=60) * 19  # the first of either half
    assert stats.kstest(in_order / batches.steps_per_epoch, "uniform").pvalue < 0.001


@pytest.mark.parametrize("settings", [{"drop_last": True}, {"lone": False}])
def test_short_rows_are_left_out_as_often_as_long_ones(settings: dict[str, bool]) -> None:
    size = 28 if "drop_last" in settings else 25
    batches = by_length(size, **settings)
    assert batches.left_out == size - 24
    counts = torch.zeros(size)
    for number in range(400):
        counts += torch.bincount(torch.cat(steps_of(batches, number)), minlength=size)
    left_out = 400 - counts.numpy()
    assert left_out.sum() == 400 * (size - 24)
    assert stats.chisquare(left_out).pvalue > 0.001
    shortest = np.zeros(size)
    shortest[LENGTHS[:size].argsort()[: size - 24]] = 400  # the control: always the same rows
    assert stats.chisquare(shortest).pvalue < 0.001


def test_micro_batches_by_length_are_one_larger_batch() -> None:
    small = Batches(50, 3, 4, seed=5, lengths=LENGTHS[:50])
    large = Batches(50, 12, 1, seed=5, lengths=LENGTHS[:50])
    for step in range(12):
        assert torch.equal(torch.cat(small.indices(step)), torch.cat(large.indices(step)))


@pytest.mark.parametrize(
    ("size", "batch", "accumulate", "last", "left_out"),
    [
        (385, 16, 16, [16] * 7 + [9, 8], 0),  # once 129 rows were left out
        (17, 16, 2, [9, 8], 0),  # once: "drop_last leaves no step"
        (19, 3, 2, [3, 3], 1),  # a step of one row has no neighbour
        (22, 3, 3, [2, 2], 0),
        (7, 2, 4, [2, 2, 3], 0),  # two and one row cannot be divided
        (17, 16, 1, [16], 1),
        (18, 16, 2, [16, 2], 0),
        (16, 16, 2, [16], 0),
    ],
)
def test_a_lone_row_shares_the_micro_batch_before_it(
    size: int, batch: int, accumulate: int, last: list[int], left_out: int
) -> None:
    batches = Batches(size, batch, accumulate, seed=1, lone=False)
    for number in range(3):
        end = (number + 1) * batches.steps_per_epoch - 1
        assert [len(part) for part in batches.indices(end)] == last
        rows = epoch(batches, number)
        assert len(rows) == len(set(rows.tolist())) == size - left_out
    assert batches.left_out == left_out
    assert batches.shared == (size % batch == 1 and not left_out)
    with_lone = Batches(size, batch, accumulate, seed=1)
    assert with_lone.left_out == 0 and not with_lone.shared
    if not left_out:
        assert torch.equal(epoch(batches, 0), epoch(with_lone, 0))  # the same step, divided anew


def test_one_row_alone_is_no_step() -> None:
    with pytest.raises(DataError, match="only training row has no batch statistics"):
        Batches(1, 8, lone=False)
    assert Batches(1, 8).steps_per_epoch == 1


@pytest.mark.parametrize("seed", [0, 7, 200, -1, 2**63 + 5, 2**64 + 3, -(2**70) + 1])
def test_the_order_is_numpys_permutation(seed: int) -> None:
    """Of the pair (seed modulo 2^64, epoch): the same in any later version, as a resume needs."""
    batches = Batches(30, 4, seed=seed)
    for number in range(3):
        dice = np.random.default_rng([seed % 18446744073709551616, number])
        assert epoch(batches, number).tolist() == dice.permutation(30).tolist()
    assert isinstance(batches.indices(0), list)


def test_the_seed_is_0_unless_given() -> None:
    assert torch.equal(epoch(Batches(30, 4), 1), epoch(Batches(30, 4, seed=0), 1))


@pytest.mark.parametrize(
    ("size", "batch", "accumulate", "stretch"),
    [
        (400, 2, 1, 50),  # 200 steps: the stretch of transformers' group_by_length
        (403, 1, 2, 50),
        (206, 1, 2, 50),  # 103 steps, three of them in a stretch of their own
        (120, 2, 1, 30),  # 60 steps: half an epoch
        (52, 5, 1, 5),
        (11, 4, 1, 1),
        (7, 4, 1, 1),  # one whole step
        (3, 2, 2, 1),  # none
    ],
)
def test_steps_are_sorted_within_each_stretch_of_the_drawn_order(
    size: int, batch: int, accumulate: int, stretch: int
) -> None:
    """By Python's stable sort, written out: long rows first, ties in the order drawn."""
    lengths = torch.from_numpy(np.random.default_rng(1).integers(3, 9, size))
    batches = Batches(size, batch, accumulate, seed=3, lengths=lengths)
    rows = batch * accumulate
    for number in range(3):
        order = np.random.default_rng([3, number]).permutation(size).tolist()
        full = len(order) // rows * rows
        parts = [
            order[at : min(full, at + stretch * rows)] for at in range(0, full, stretch * rows)
        ]
        longest_first = [sorted(part, key=lambda row: -int(lengths[row])) for part in parts]
        steps = [part[at : at + rows] for part in longest_first for at in range(0, len(part), rows)]
        result = [step.tolist() for step in steps_of(batches, number)]
        assert sorted(result[: len(steps)]) == sorted(steps)
        rest = sorted(order[full:], key=lambda row: -int(lengths[row]))
        assert [row for step in result[len(steps) :] for row in step] == rest
