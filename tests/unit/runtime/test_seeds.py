"""Random states continue where they were."""

from __future__ import annotations

import pytest
import torch

from ftune.errors import CheckpointError
from ftune.runtime.seeds import restore_rng, rng_state, seed_all


def test_one_seed_one_stream() -> None:
    seed_all(3)
    first = torch.rand(4)
    seed_all(3)
    assert torch.equal(torch.rand(4), first)
    seed_all(4)
    assert not torch.equal(torch.rand(4), first)


def test_restored_state_continues_the_stream() -> None:
    seed_all(3)
    torch.rand(5)
    state = rng_state()
    expected = torch.rand(5)
    seed_all(9)
    restore_rng(state)
    assert torch.equal(torch.rand(5), expected)
    assert not torch.equal(torch.rand(5), expected)


def test_a_saved_state_is_no_view_of_the_running_one() -> None:
    state = rng_state()
    before = state["cpu"].clone()
    torch.rand(10)
    assert torch.equal(state["cpu"], before)


@pytest.mark.parametrize("name", ["cpu", "cuda:63"])
def test_a_state_that_does_not_fit_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match=f"random state of {name}"):
        restore_rng({name: torch.zeros(3, dtype=torch.uint8)})
