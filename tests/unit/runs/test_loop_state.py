"""The loop of a checkpoint: read once, of 0.1 too, and refused by name where it is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftune.errors import CheckpointError
from ftune.runs.checkpoint import Checkpoint
from ftune.runs.loop_state import LoopState, Mark

OLD = Path(__file__).parents[2] / "fixtures/0.1/interrupted/checkpoints/step-00000046/state.json"


def stored() -> dict[str, Any]:
    loop: dict[str, Any] = json.loads(OLD.read_text())["loop"]
    return loop


def test_a_loop_of_0_1_is_taken_over() -> None:
    loop = LoopState.parse(stored() | {"faults": 3}, OLD)
    assert loop.best == loop.reference == Mark(45, 0.1, 1.350281047821045)
    assert (loop.skipped, loop.overflows, loop.unlogged_parts) == (3, 0, {})


def test_what_is_written_is_read_again() -> None:
    loop = LoopState.parse(stored(), OLD)
    again = json.loads(json.dumps(loop.to_json()))
    assert LoopState.parse(again, OLD) == loop
    assert {key: again[key] for key in stored()} == stored()


DAMAGED = [
    ("step", "3", "its `loop.step` is '3', not a whole number"),
    ("best", 3, "its `loop.best` is 3, not an object"),
    ("best", {"step": 1, "value": "x", "loss": 1.0}, "`loop.best.value` is 'x', not a number"),
    ("ranking", [3], "its `loop.ranking.0` is 3, not an object"),
    ("unlogged", [1.0], r"its `loop.unlogged` is \[1.0\], not a sum and a count"),
    ("optimizer", {"optimizers": [{"class": "AdamW"}]}, "no `loop.optimizer.optimizers.0.updated`"),
    ("scaler", {"scale": 1.0}, "no `loop.scaler.growth_factor`"),
]


@pytest.mark.parametrize(("name", "value", "words"), DAMAGED)
def test_a_damaged_loop_is_refused_by_name(name: str, value: object, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as raised:
        LoopState.parse(stored() | {name: value}, OLD)
    assert str(raised.value).startswith(f"{OLD}: damaged: ")
    assert raised.value.exit_code == 2


def test_a_checkpoint_without_a_loop() -> None:
    with pytest.raises(CheckpointError, match="its `loop` is None, not an object"):
        assert Checkpoint({}, {}).loop
