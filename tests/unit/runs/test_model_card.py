"""The card of a model: read once, of 0.1 too, and refused by name where it is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftune.errors import CheckpointError
from ftune.models.shapes import Axis
from ftune.runs.base import Base
from ftune.runs.model_card import ModelCard

OLD = Path(__file__).parents[2] / "fixtures/0.1/lora/checkpoints/step-00000006/state.json"


def stored() -> dict[str, Any]:
    state: dict[str, Any] = json.loads(OLD.read_text())
    return state


def test_a_card_of_0_1_is_taken_over() -> None:
    card = ModelCard.parse(stored(), OLD)
    assert {edit.kind for edit in card.edits} == {"lora"}
    assert card.config == stored()["config"]
    assert card.class_counts == tuple(stored()["class_counts"])
    assert card.code is None


def test_axes_come_back_as_axes() -> None:
    axes = {"w": [{"dim": 1, "names": ["a", "b"], "role": "input"}]}
    assert ModelCard.parse({"axes": axes}, "x").axes == {"w": (Axis(1, ("a", "b"), "input"),)}


def test_a_file_of_others_has_an_empty_card() -> None:
    assert Base(Path("x.pt"), {}).card == ModelCard()


DAMAGED = [
    ("config", 3, "its `config` is 3, not an object"),
    ("axes", {"w": [{"dim": "1", "names": [], "role": "input"}]}, "`axes.w.0.dim` is '1', not a"),
    ("axes", {"w": [{"dim": 1, "names": [], "role": "x"}]}, "is 'x', not input or output"),
    ("adapters", [{"kind": "lora"}], "damaged: no `adapters.0.module`"),
    (
        "adapters",
        [{"kind": "lora", "module": "", "rule": 1}],
        "its `adapters.0.rule` is 1, not a setting of an edit",
    ),
    ("class_counts", "12", "its `class_counts` is '12', not a list of numbers"),
]


@pytest.mark.parametrize(("name", "value", "words"), DAMAGED)
def test_a_damaged_card_is_refused_by_name(name: str, value: object, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as raised:
        ModelCard.parse(stored() | {name: value}, OLD)
    assert raised.value.exit_code == 2
