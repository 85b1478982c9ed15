"""Two processes through the engine do what one does: losses, faults, memory, the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.ranks import ranks

NAMES = ("losses", "norms", "weights")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return ranks("train", 1, tmp_path_factory.mktemp("alone"))[0]


@pytest.mark.parametrize("world", [2, 3])
def test_losses_norms_and_weights_are_those_of_one_process(
    world: int, alone: dict[str, Any], tmp_path: Path
) -> None:
    """5 + 5 rows a step in unequal shares, a last step of 3, rows of different weights."""
    assert len(alone["losses"]) == 9
    for rank in ranks("train", world, tmp_path):
        assert rank["ending"] == "done"
        for name in NAMES:
            assert rank[name] == pytest.approx(alone[name], rel=1e-10, abs=1e-12)


def test_without_the_reduction_of_weights_the_losses_differ(
    alone: dict[str, Any], tmp_path: Path
) -> None:
    first, second = ranks("unreduced", 2, tmp_path)
    assert first["losses"] != pytest.approx(alone["losses"], rel=1e-3)
    assert first["losses"] != pytest.approx(second["losses"], rel=1e-3)


def test_a_loss_that_is_not_finite_on_one_rank_stops_both(tmp_path: Path) -> None:
    results = ranks("nan", 2, tmp_path)
    assert all("step 3: the loss is nan; nothing was updated" in r["ending"] for r in results)
    assert results[0]["weights"] == results[1]["weights"]
    assert [len(r["losses"]) for r in results] == [2, 2]


def test_memory_that_runs_out_on_one_rank_shrinks_both(
    alone: dict[str, Any], tmp_path: Path
) -> None:
    for rank in ranks("memory", 2, tmp_path):
        assert rank["split"] == 2
        assert rank["warnings"] == ["out of memory on one rank"]
        assert rank["losses"] == pytest.approx(alone["losses"], rel=1e-10)


def test_a_signal_to_one_rank_ends_both_at_the_same_step(tmp_path: Path) -> None:
    assert [(r["ending"], r["steps"]) for r in ranks("stop", 2, tmp_path)] == [
        ("interrupted", 4), ("interrupted", 4),
    ]  # fmt: skip
