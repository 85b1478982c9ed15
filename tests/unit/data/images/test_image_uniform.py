"""Random numbers of a row: numpy's Philox, whatever the batch."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from ftune.data.images.uniform import between, each, generator, uniforms
from ftune.data.store import RngKey


def test_they_are_those_of_numpys_philox() -> None:
    found = uniforms(RngKey(2**63 + 5, 7), np.array([3, 2**40]), stream=2, count=10)
    for row, numbers in zip((3, 2**40), found, strict=True):
        key = np.array([2**63 + 5, 7], dtype=np.uint64)
        raw = np.random.Philox(counter=[0, row, 2, 0], key=key).random_raw(10)
        assert (numbers == (raw >> np.uint64(11)) * 2.0**-53).all()


def test_a_row_has_its_own_whatever_stands_beside_it() -> None:
    rows = np.array([4, 9, 1, 0])
    together = uniforms(RngKey(0, 0), rows, 0, 5)
    alone = [uniforms(RngKey(0, 0), rows[i : i + 1], 0, 5)[0] for i in range(4)]
    assert (together == np.stack(alone)).all()


def test_seed_epoch_row_and_stream_all_matter() -> None:
    rows = np.arange(50)
    first = uniforms(RngKey(0, 0), rows, 0, 4)
    others = [
        uniforms(RngKey(1, 0), rows, 0, 4),
        uniforms(RngKey(-1, 0), rows, 0, 4),
        uniforms(RngKey(0, 1), rows, 0, 4),
        uniforms(RngKey(0, 0), rows + 50, 0, 4),
        uniforms(RngKey(0, 0), rows, 1, 4),
    ]
    for other in others:
        assert not (first == other).any()
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.3


def test_they_are_uniform_over_rows_and_over_epochs() -> None:
    over_rows = uniforms(RngKey(0, 0), np.arange(5000), 0, 3).ravel()
    over_epochs = np.concatenate([uniforms(RngKey(0, e), np.array([0]), 0, 9) for e in range(400)])
    for numbers in (over_rows, over_epochs.ravel()):
        assert stats.kstest(numbers, "uniform").pvalue > 0.001
    assert stats.kstest(over_rows**1.1, "uniform").pvalue < 0.001  # the test can fail


def test_the_stream_of_a_batch_follows_its_first_row() -> None:
    assert generator(RngKey(0, 1), 5).random() == generator(RngKey(0, 1), 5).random()
    assert generator(RngKey(0, 1), 5).random() != generator(RngKey(0, 1), 6).random()
    assert generator(RngKey(0, 1), 5).random() != generator(RngKey(0, 2), 5).random()


def test_helpers() -> None:
    assert (each(math.exp, np.array([[0.0, 1.0]])) == [[1.0, math.e]]).all()
    assert (between(np.array([0.0, 0.5]), -2, 2) == [-2, 0]).all()
