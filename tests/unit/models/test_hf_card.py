"""The card of a model of transformers: through JSON, and what a damaged one says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ftune.errors import CheckpointError, RequestError
from ftune.models.hf_card import HfCard, rebuilding

CARD = {"kind": "encoder", "pooling": "mean", "config": {"model_type": "bert"}}


def test_a_card_goes_through_json() -> None:
    card = HfCard("causal-lm", "last", {"model_type": "llama"}, code="a1", packs=False)
    assert HfCard.parse(json.loads(json.dumps(card.to_json()))) == card


def test_a_card_of_0_1_has_defaults() -> None:
    assert HfCard.parse(CARD) == HfCard("encoder", "mean", {"model_type": "bert"})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"kind": "poem"}, "its `model.kind` is 'poem', not one of causal-lm, encoder"),
        ({"config": 3}, "its `model.config` is 3, not an object"),
        ({"splits": "yes"}, "its `model.splits` is 'yes', not true or false"),
    ],
)
def test_a_damaged_card_is_refused(damage: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        HfCard.parse(CARD | damage)


def test_what_transformers_raises_is_one_sentence() -> None:
    with pytest.raises(CheckpointError, match=r"`model.config` \(KeyError: 'poet'\)"), rebuilding():
        raise KeyError("poet")
    with pytest.raises(RequestError, match="as it was"), rebuilding():
        raise RequestError("as it was")
