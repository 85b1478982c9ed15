"""Padding, packing and blocks against what a loop over the samples gives."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ftune.batch import IGNORE_INDEX
from ftune.data.store import RngKey
from ftune.data.text.ragged import Ragged, side_by_side, stacked
from ftune.data.text.stores import Blocks, Tokens, pack

ROWS = st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=9), min_size=1, max_size=30)


def store(rows: list[list[int]], pad: int = 0) -> Tokens:
    """Rows whose targets are their ids and 1,000."""
    x = Ragged.of(rows)
    return Tokens.of(x, pad, x.with_flat(x.flat + 1000))


def listed(ragged: Ragged) -> list[list[int]]:
    return [ragged[i].tolist() for i in range(len(ragged))]


@given(ROWS, st.integers(0, 9))
def test_ragged_arrays_equal_lists(rows: list[list[int]], most: int) -> None:
    ragged = Ragged.of(rows)
    assert listed(ragged) == rows
    assert listed(ragged.head(most)) == [row[:most] for row in rows]
    assert listed(ragged.cut(1, np.maximum(ragged.lengths - 1, 0))) == [row[1:] for row in rows]
    order = np.random.default_rng(most).permutation(len(rows))
    assert listed(ragged.take(order)) == [rows[i] for i in order]
    assert listed(ragged.take(ragged.lengths > 3)) == [row for row in rows if len(row) > 3]
    twice = side_by_side([ragged, Ragged.repeated([7], len(rows)), ragged])
    assert listed(twice) == [[*row, 7, *row] for row in rows]
    assert listed(stacked([ragged, ragged])) == rows + rows
    assert ragged.owners.tolist() == [i for i, row in enumerate(rows) for _ in row]


def test_rows_are_padded_to_the_longest_of_the_batch() -> None:
    batch = store([[1, 2, 3], [4], [5, 6], [7, 8, 9, 10]], pad=99).take(torch.tensor([2, 1, 0]))
    assert batch["x"].tolist() == [[5, 6, 99], [4, 99, 99], [1, 2, 3]]
    assert batch["segments"].tolist() == [[1, 1, 0], [1, 0, 0], [1, 1, 1]]
    away = IGNORE_INDEX
    assert batch["y"].tolist() == [[1005, 1006, away], [1004, away, away], [1001, 1002, 1003]]
    assert {value.dtype for value in batch.values()} == {torch.int64}


@settings(deadline=None)
@given(ROWS, st.integers(9, 20))
def test_a_packed_row_takes_apart_into_its_samples(rows: list[list[int]], width: int) -> None:
    packed = pack(store(rows), width)
    batch = packed.take(torch.arange(len(packed)))
    assert batch["x"].shape[1] <= width
    found = []
    for x, y, segments in zip(batch["x"], batch["y"], batch["segments"], strict=True):
        numbers = segments[segments > 0]
        assert numbers.tolist() == sorted(numbers.tolist())  # samples stand one after the other
        for number in range(1, int(segments.max()) + 1):
            inside = segments == number
            assert (y[inside] == x[inside] + 1000).all()
            found.append(x[inside].tolist())
        assert (y[segments == 0] == IGNORE_INDEX).all()
    assert sorted(found) == sorted(rows)
    # Two rows that fit in one would be a fault of best-fit: all but one are more than half full.
    filled = packed.lengths.tolist()
    assert sum(2 * length <= width for length in filled) <= 1
    assert packed.source_rows is not None
    firsts = [packed.x[packed.offsets[i]].item() for i in range(len(packed))]
    assert firsts == [rows[place][0] for place in packed.source_rows.tolist()]


def test_a_sample_out_of_its_segment_would_be_found() -> None:
    """The control of the test above: with one wrong segment the samples do not come apart."""
    packed = pack(store([[1, 2, 3], [4, 5], [6]]), 6)
    assert packed.segments is not None
    assert packed.segments.tolist() == [1, 1, 1, 2, 2, 3]
    packed.segments[3] = 1
    batch = packed.take(torch.tensor([0]))
    assert batch["x"][batch["segments"] == 1].tolist() != [1, 2, 3]


def test_packing_says_what_it_saves() -> None:
    packed = pack(store([[1] * 4, [2] * 4, [3] * 2, [4] * 6]), 8)
    assert len(packed) == 2
    assert packed.notes == ["4 samples are packed into 2 rows of at most 8 tokens, 100% full."]


def test_blocks_equal_x_and_y_written_by_hand() -> None:
    """As nanoGPT: x = data[i : i + width], y = data[i + 1 : i + 1 + width]."""
    data = torch.arange(1000, 1107, dtype=torch.int32)
    blocks = Blocks(data, 10, train=True)
    rng_key = RngKey(3, 5)
    batch = blocks.take(torch.arange(len(blocks)), rng_key)
    first = int(batch["x"][0, 0]) - 1000
    starts = [first + 10 * i for i in range(len(blocks))]
    assert batch["x"].tolist() == [data[i : i + 10].tolist() for i in starts]
    assert batch["y"].tolist() == [data[i + 1 : i + 11].tolist() for i in starts]
    assert "segments" not in batch


@pytest.mark.parametrize("size", [11, 12, 20, 21, 25, 29, 30, 31, 107])
def test_blocks_move_with_seed_and_epoch_and_stay_inside(size: int) -> None:
    blocks = Blocks(torch.arange(size, dtype=torch.int32), 10, train=True)
    rng_keys = [RngKey(seed, epoch) for seed in range(3) for epoch in range(40)]
    starts = []
    for rng_key in rng_keys:
        batch = blocks.take(torch.arange(len(blocks)), rng_key)
        assert (batch["y"] == batch["x"] + 1).all()
        again = blocks.take(torch.tensor([0]), rng_key)
        assert (again["x"] == batch["x"][:1]).all()
        starts.append(int(batch["x"][0, 0]))
    assert len(set(starts)) > 5 or size < 16
    assert starts[:40] != starts[40:80] or size < 16


@pytest.mark.parametrize("size", [2, 10, 11, 12, 21, 25])
def test_judging_predicts_every_token_once(size: int) -> None:
    blocks = Blocks(torch.arange(size, dtype=torch.int32), 10, train=False)
    batch = blocks.take(torch.arange(len(blocks)), RngKey(1, 1))
    y = batch["y"][batch["y"] != IGNORE_INDEX]
    assert y.tolist() == list(range(1, size))
    full = batch.get("segments", torch.ones_like(batch["y"]))
    assert ((batch["y"] == IGNORE_INDEX) == (full == 0)).all()


def digest_of(found: Any) -> str:
    digest = hashlib.sha256()
    found.digest(digest.update)
    return digest.hexdigest()


def test_a_fingerprint_tells_contents_apart() -> None:
    one, same = store([[1, 2], [3]]), store([[1, 2], [3]])
    others = [store([[1], [2, 3]]), store([[1, 2], [4]]), pack(one, 3)]
    assert digest_of(one) == digest_of(same)
    assert len({digest_of(found) for found in (one, *others)}) == 4
    stream = torch.arange(30, dtype=torch.int32)
    blocks = [Blocks(stream, 5, True), Blocks(stream, 6, True), Blocks(stream[1:], 5, True)]
    assert len({digest_of(found) for found in blocks}) == 3


def test_a_store_that_moved_gives_the_same_batches() -> None:
    one, rows = pack(store([[1, 2], [3]]), 2), torch.tensor([1, 0])
    moved = one.to(torch.device("cpu"))
    for name, value in one.take(rows).items():
        assert torch.equal(value, moved.take(rows)[name])
